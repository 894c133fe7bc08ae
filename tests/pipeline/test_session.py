"""Conversations: what is answered, remembered and heard, in virtual time with scripted engines."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.virtual_conversation import (
    CLOCK,
    HearingRecognizer,
    Talk,
    converse,
    length_ms,
    settings,
    tasks_left,
    unfinished,
    voiced,
)
from voicebot.assistant.history import Exchange
from voicebot.audio import FRAME_MS, Pcm, ms_from_samples, samples_from_ms, voiced_span
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import Message
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, ScriptedSynthesizer, hum
from voicebot.events import (
    ClauseSynthesised,
    ReplyAudible,
    StateChanged,
    Transcribed,
    TurnDiscarded,
    TurnEnded,
)
from voicebot.latency.marks import MARKS
from voicebot.turn.table import State
from voicebot.workers.inline import InlineSlm

LONG_REPLY = "First of all, this is a long reply. It has a second sentence. It has a third one as well."


def saying(reply: str, pace: Pace | None = None) -> ScriptedModel:
    return ScriptedModel(lambda _: reply, pace or Pace(60, 10))


def counting() -> ScriptedRecognizer:
    """Return a recogniser that hears "question 1", "question 2" and so on."""
    heard: list[Pcm] = []

    def script(pcm: Pcm) -> str:
        heard.append(pcm)
        return f"question {len(heard)}"

    return ScriptedRecognizer(script)


def test_a_question_is_answered() -> None:
    async def script(talk: Talk) -> None:
        await CLOCK.sleep_s(1)
        await talk.ask_ms(1500)

    talk = converse(script, asr=counting(), slm=saying("This is the answer."))
    assert talk.states == ["listening", "pending", "thinking", "speaking", "idle"]
    assert talk.of(Transcribed) == [Transcribed("talk", 1, 1, "question 1")]
    (turn,) = talk.turns
    assert (turn.turn, turn.revisions, turn.interrupted, turn.error) == (1, 1, False, None)
    assert (turn.user, turn.source) == ("question 1", "slm")
    assert turn.reply == turn.heard == "This is the answer."
    assert talk.session.history.exchanges == (Exchange("question 1", "This is the answer."),)
    end = voiced_span(talk.user)
    assert end is not None
    assert turn.speech_end_sample == pytest.approx(end[1], abs=samples_from_ms(FRAME_MS))
    (reply,) = talk.replies
    assert length_ms(reply) == pytest.approx(60 * len(turn.reply), abs=5)
    assert reply[0] == turn.marks["audible"] == talk.of(ReplyAudible)[0].at_sample


def test_the_marks_of_a_turn_are_in_order() -> None:
    async def script(talk: Talk) -> None:
        await talk.ask_ms(1500)
        await talk.ask_ms(800)

    for turn in converse(script).turns:
        marks = turn.marks
        assert set(marks) == set(MARKS)
        work = [marks[name] for name in ("soft_end", "asr_final", "slm_first_token", "slm_first_clause")]
        work += [marks["tts_first_audio"], marks["audible"]]
        assert work == sorted(work)
        assert turn.speech_end_sample <= marks["soft_end"] <= marks["committed"] <= marks["audible"]


def test_what_takes_longer_than_its_budget_is_named() -> None:
    async def script(talk: Talk) -> None:
        await talk.ask_ms(1000)

    budget = {"endpoint_ms": 600, "asr_ms": 100, "slm_ms": 100, "tts_ms": 100, "total_ms": 5000}
    for stage in ("asr", "slm", "tts"):
        first_ms = {"asr": 80, "slm": 60, "tts": 70, stage: 150}
        talk = converse(
            script,
            settings(budget=budget),
            asr=ScriptedRecognizer(pace=Pace(first_ms["asr"])),
            slm=ScriptedModel(pace=Pace(first_ms["slm"], 1)),
            tts=ScriptedSynthesizer(pace=Pace(first_ms["tts"])),
        )
        assert talk.turns[0].over_budget == (stage,)
    using = settings(budget={**budget, "endpoint_ms": 200, "slm_ms": 500, "total_ms": 450})
    talk = converse(script, using, slm=unfinished())
    assert talk.turns[0].over_budget == ("endpoint", "total")


def test_several_turns_build_the_conversation_that_the_model_is_given() -> None:
    replies = iter(["Answer one.", "Answer two.", "Answer three."])
    slm = ScriptedModel(lambda _: next(replies))

    async def script(talk: Talk) -> None:
        for duration_ms in (1000, 2000, 700):
            await talk.ask_ms(duration_ms)

    talk = converse(script, settings(slm={"system_prompt": "Be brief."}), asr=counting(), slm=slm)
    system = Message("system", "Be brief.")
    one, two, three = (Message("user", f"question {number}") for number in (1, 2, 3))
    first, second = Message("assistant", "Answer one."), Message("assistant", "Answer two.")
    assert slm.requests == [(system, one), (system, one, first, two), (system, one, first, two, second, three)]
    assert [turn.turn for turn in talk.turns] == [1, 2, 3]


def test_nothing_said_discards_the_turn() -> None:
    """At once, or after the commit when the recogniser is slow."""

    async def script(talk: Talk) -> None:
        talk.say_ms(600)
        await talk.quiet()

    for pace, through in ((Pace(80), []), (Pace(2500), ["thinking"])):
        talk = converse(script, asr=ScriptedRecognizer(lambda _: " [BLANK_AUDIO] (coughs) ♪ ", pace))
        assert talk.states == ["listening", "pending", *through, "idle"]
        assert [event.turn for event in talk.of(TurnDiscarded)] == [1]
        assert talk.turns == []
        assert talk.session.history.exchanges == ()
        assert not talk.reply.any()


def test_after_a_discarded_turn_the_next_one_is_answered() -> None:
    heard = iter(["", "a question"])

    async def script(talk: Talk) -> None:
        talk.say_ms(300)
        await CLOCK.sleep_s(0.6)  # sooner than the end of turn after the noise
        await talk.ask_ms(1000)

    talk = converse(script, asr=ScriptedRecognizer(lambda _: next(heard)))
    assert [(turn.turn, turn.user) for turn in talk.turns] == [(2, "a question")]


def test_a_model_that_says_nothing_leaves_a_silent_turn() -> None:
    async def script(talk: Talk) -> None:
        await talk.ask_ms(1000)

    talk = converse(script, asr=counting(), slm=saying(" ** "))
    (turn,) = talk.turns
    assert (turn.reply, turn.heard, turn.error, turn.interrupted) == ("", "", None, False)
    assert "audible" not in turn.marks
    assert talk.session.history.exchanges == (Exchange("question 1", ""),)
    assert not talk.reply.any()


def test_the_next_clause_is_synthesised_while_one_plays_and_no_gap_is_heard() -> None:
    async def script(talk: Talk) -> None:
        await talk.ask_ms(1000)

    tts = ScriptedSynthesizer(pace=Pace(500))
    talk = converse(script, slm=saying(LONG_REPLY), tts=tts)
    clauses = talk.of(ClauseSynthesised)
    assert " ".join(clause.text for clause in clauses) == LONG_REPLY
    assert len(clauses) == 4
    events = [event for event in talk.events if isinstance(event, ClauseSynthesised | ReplyAudible | TurnEnded)]
    assert [type(event) for event in events[:2]] == [ClauseSynthesised, ReplyAudible]
    (reply,) = talk.replies  # one stretch: no gap
    assert length_ms(reply) == pytest.approx(sum(clause.audio_ms for clause in clauses), abs=5)


def test_a_slow_synthesizer_leaves_gaps_but_loses_nothing() -> None:
    async def script(talk: Talk) -> None:
        await talk.ask_ms(1000)

    talk = converse(script, slm=saying(LONG_REPLY), tts=ScriptedSynthesizer(10, Pace(1500)))
    assert len(talk.replies) == 4
    assert talk.turns[0].heard == LONG_REPLY


def test_no_more_is_queued_than_ahead_ms_and_a_clause() -> None:
    async def script(talk: Talk) -> None:
        queued: list[int] = []
        talk.port.playback.subscribe(lambda _: queued.append(talk.port.playback.queued_samples))
        await talk.ask_ms(1000)
        longest = max(clause.audio_ms for clause in talk.of(ClauseSynthesised))
        assert samples_from_ms(500) < max(queued) <= samples_from_ms(500 + longest)

    reply = " ".join(f"This is sentence number {number}." for number in range(20))
    talk = converse(
        script,
        settings(playback={"ahead_ms": 500}, slm={"max_tokens": 200}),
        slm=saying(reply),
        tts=ScriptedSynthesizer(30),
    )
    assert len(talk.replies) == 1
    ready = [index for index, event in enumerate(talk.events) if isinstance(event, ClauseSynthesised)]
    assert len(ready) == 20


def test_when_the_microphone_ends_an_uncommitted_turn_is_not_remembered() -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.PENDING)
        await CLOCK.sleep_s(0.2)

    talk = converse(script, slm=unfinished())
    assert talk.turns == []
    assert talk.session.history.exchanges == ()
    assert len(talk.of(TurnDiscarded)) == 1
    assert talk.session.state is State.IDLE


def test_when_the_microphone_ends_during_a_reply_what_was_heard_is_remembered() -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(1)

    talk = converse(script, asr=counting(), slm=saying(LONG_REPLY))
    (turn,) = talk.turns
    assert turn.interrupted
    assert LONG_REPLY.startswith(turn.heard)
    assert 0 < len(turn.heard) < len(LONG_REPLY)
    assert talk.session.state is State.IDLE


class SlowToPrepare(InlineSlm):
    """Takes a long time to take in a conversation, and knows what became of it."""

    def __init__(self) -> None:
        super().__init__(ScriptedModel(), CLOCK)
        self.prepared: list[tuple[str, ...]] = []
        self.cancelled = 0

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        self.prepared.append(tuple(message.role for message in messages))
        try:
            await CLOCK.sleep_s(60)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return 0


def test_the_model_prepares_while_nobody_waits_and_stops_when_the_user_does() -> None:
    slm = SlowToPrepare()

    async def script(talk: Talk) -> None:
        for number in range(3):
            talk.say_ms(1000)
            await talk.until(State.LISTENING)
            assert (len(slm.prepared), slm.cancelled) == (number + 1, number)
            await talk.until(State.PENDING)
            await CLOCK.sleep_s(0.001)
            assert slm.cancelled == number + 1
            await talk.quiet()

    converse(script, stages=replace(scripted_stages(CLOCK), slm=slm))
    exchange = ("user", "assistant")
    assert slm.prepared == [("system", *exchange * turns) for turns in range(4)]
    assert slm.cancelled == 4


def test_ten_turns_leave_no_tasks_behind() -> None:
    async def script(talk: Talk) -> None:
        await talk.ask_ms(500)
        before = tasks_left()
        for _ in range(9):
            await talk.ask_ms(500)
            assert len(tasks_left()) == len(before) == 1  # the session itself

    assert len(converse(script).turns) == 10


def test_ten_minutes_of_conversation_replay_in_far_less() -> None:
    async def script(talk: Talk) -> None:
        while ms_from_samples(talk.port.now_sample()) < 600_000:
            await CLOCK.sleep_s(1)
            await talk.ask_ms(2000)

    began_s = time.monotonic()
    talk = converse(script)
    assert time.monotonic() - began_s < 60
    assert 85 <= len(talk.turns) <= 120
    assert len(talk.replies) == len(talk.turns) == len(talk.session.history.exchanges)
    assert all(turn.heard == turn.reply and turn.error is None for turn in talk.turns)


def test_every_change_of_state_is_told_in_order_of_time() -> None:
    async def script(talk: Talk) -> None:
        await talk.ask_ms(1000)
        await talk.ask_ms(1000)

    moments = [event.at_sample for event in converse(script).of(StateChanged)]
    assert len(moments) == 10
    assert all(earlier <= later for earlier, later in pairwise(moments))


def test_the_audio_of_a_turn_begins_with_the_pre_roll() -> None:
    asr = HearingRecognizer()

    async def script(talk: Talk) -> None:
        await CLOCK.sleep_s(2)
        await talk.ask_ms(1000)

    converse(script, settings(endpoint={"pre_roll_ms": 200}), asr=asr)
    span = voiced_span(asr.heard[0])
    assert span is not None
    assert ms_from_samples(span[0]) == pytest.approx(200, abs=1)
    assert len(voiced(asr.heard[0])) == len(voiced(hum(samples_from_ms(1000))))
