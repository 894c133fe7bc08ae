"""What sessions are at, by what is told of them."""

from __future__ import annotations

import pytest

from tests.cpu.driven import CONVERSATION, SESSION, ended, state
from voicebot.cpu.attention import STATES, Attention, Expected
from voicebot.cpu.demand import Phase, SessionDemand
from voicebot.events import ClauseSynthesised, Event, ReplyAudible, ReplySynthesised, Transcribed, WorkerChanged
from voicebot.turn.table import State

EXPECTED = Expected(answer_within_s=0.5, first_words=8)


def told(*events: tuple[float, Event]) -> Attention:
    attention = Attention(EXPECTED)
    for at_s, event in events:
        attention.observe(event, at_s)
    return attention


def only(attention: Attention, now_s: float) -> SessionDemand:
    (demand,) = attention.demands(now_s)
    return demand


def stages(demand: SessionDemand) -> list[str]:
    return [work.stage for work in demand.work]


def test_every_state_of_the_turn_machine_has_a_phase() -> None:
    assert set(STATES) == {each.value for each in State}


def test_the_phases_of_a_conversation() -> None:
    attention, phases = Attention(EXPECTED), list[tuple[Phase, int]]()
    for at_s, event in CONVERSATION:
        attention.observe(event, at_s)
        phases += [(demand.phase, len(demand.work)) for demand in attention.demands(at_s)]
    assert phases == [
        (Phase.LISTENING, 0),
        (Phase.ANSWERING, 4),
        *[(Phase.ANSWERING, 3)] * 3,
        (Phase.ANSWERING, 2),
        *[(Phase.ANSWERING, 0)] * 2,  # the first clause is there, and not audible yet
        (Phase.SPEAKING, 2),
        *[(Phase.LISTENING, 0)] * 2,
        *[(Phase.SPEAKING, 2)] * 2,
        *[(Phase.SPEAKING, 0)] * 2,
    ]
    assert attention.demands(6.0) == ()


def test_an_answer_is_due_so_long_after_the_soft_end() -> None:
    demand = only(told((1.0, state("listening")), (3.0, state("pending"))), 3.0)
    assert demand.due_s == 3.5
    assert stages(demand) == ["asr", "slm_read", "slm", "tts"]
    assert demand.work[0].units == 2.0
    words = "forty letters are ten tokens to be read."
    demand = only(
        told((1.0, state("listening")), (3.0, state("pending")), (3.1, Transcribed(SESSION, 1, 1, words))), 3.2
    )
    assert (demand.work[0].stage, demand.work[0].units) == ("slm_read", 10.0)


def test_who_goes_on_speaks_all_the_longer() -> None:
    demand = only(
        told((1.0, state("listening")), (3.0, state("pending")), (3.2, state("listening")), (5.0, state("pending"))), 5
    )
    assert demand.work[0].units == 4.0


def test_an_opener_is_no_answer() -> None:
    demand = only(told((1.0, state("listening")), (3.0, state("pending")), (3.6, state("speaking"))), 3.7)
    assert (demand.phase, len(demand.work)) == (Phase.ANSWERING, 4)


def speaking(*more: tuple[float, Event]) -> Attention:
    begin = ((1.0, state("listening")), (3.0, state("pending")), (3.2, state("thinking")))
    audible = ((3.5, ReplyAudible(SESSION, 1, 0)), (3.5, state("speaking")))
    return told(*begin, (3.4, ClauseSynthesised(SESSION, 1, "Well,", 1000.0)), *audible, *more)


def test_the_next_clause_is_due_when_the_sound_runs_out() -> None:
    assert only(speaking(), 4.0).due_s == 4.5
    assert only(speaking((4.0, ClauseSynthesised(SESSION, 1, "so", 500.0))), 4.0).due_s == 5.0
    assert only(speaking(), 4.6).due_s is None  # of a clause in the making nobody knows how much is there
    complete = only(speaking((4.0, ReplySynthesised(SESSION, 1))), 4.0)
    assert (complete.phase, complete.work, complete.due_s) == (Phase.SPEAKING, (), None)


def test_a_pause_of_the_reply_puts_that_off() -> None:
    held = speaking((4.0, state("overlap")), (4.1, state("paused")), (4.2, state("weighing")), (4.4, state("speaking")))
    assert only(held, 4.4).due_s == pytest.approx(4.8)


def test_an_interruption_is_a_new_turn() -> None:
    told_of = speaking((4.0, state("paused")), (4.5, ended()), (4.5, state("pending")))
    demand = only(told_of, 4.5)
    assert (demand.phase, demand.due_s, stages(demand)[0]) == (Phase.ANSWERING, 5.0, "asr")


def test_sessions_are_told_apart_and_forgotten() -> None:
    attention = told((1.0, state("listening", "a")), (50.0, state("listening", "b")))
    assert {demand.session for demand in attention.demands(60.0)} == {"a", "b"}
    assert {demand.session for demand in attention.demands(130.0)} == {"b"}
    assert attention.demands(500.0) == ()


def test_what_changes_nothing_is_said_to() -> None:
    attention = Attention(EXPECTED)
    assert not attention.observe(WorkerChanged("asr", "ready", 1, ""), 0.0)
    assert not attention.observe(ReplySynthesised("nobody", 1), 0.0)
    assert attention.observe(state("listening"), 0.0)
    assert attention.demands(0.0)
    assert attention.observe(state("idle"), 0.0)
    assert attention.demands(0.0) == ()
