"""One request from its first sound to the last of its answer, on a box without noise in the way."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest

from tests.sim.boxes import at_top, chip
from voicebot.cpu.demand import Phase
from voicebot.cpu.placement import Seat
from voicebot.sim.batcher import Batcher
from voicebot.sim.costs import SMOLLM2_135M
from voicebot.sim.machine import Machine
from voicebot.sim.reply import Reply, windows
from voicebot.sim.script import TurnScript
from voicebot.sim.service import Revision, Service, Turn
from voicebot.sim.session import Session, partials
from voicebot.sim.shape import Shapes
from voicebot.sim.workers import Desk, Seats

PLAIN = TurnScript(1, 2.0, ((0.0, 3.0),), 0.06, 0.3, (8, 12, 20), "seed")
HESITATING = replace(PLAIN, speech=((0.0, 1.5), (1.9, 3.4)))


def service(machine: Machine) -> Service:
    seats: Seats = {role: Seat((0, 1), 2) for role in ("asr", "slm", "tts", "turn")}
    slm = Batcher(machine, machine.chip, SMOLLM2_135M, seats, "steps")
    asr, tts, turn = Desk(machine, "asr", seats), Desk(machine, "tts", seats), Desk(machine, "turn", seats)
    return Service(machine, machine.chip, SMOLLM2_135M, asr, tts, turn, slm, Shapes(machine.chip, SMOLLM2_135M, 2))


def test_what_happens_happens_in_order() -> None:
    shared = service(at_top(replace(chip(), stage_cycles={**chip().stage_cycles, "tts": 0.5})))
    Session("user", iter([PLAIN]), shared)
    shared.machine.run_until(30.0)
    (turn,) = shared.turns
    marks = [turn.begin_s, turn.speech_end_s, turn.soft_end_s, turn.asr_final_s, turn.slm_first_token_s]
    marks += [turn.slm_first_clause_s, turn.tts_first_audio_s, turn.audible_s, turn.end_s]
    assert marks == sorted(marks)
    assert turn.begin_s == 2.0
    assert turn.speech_end_s == pytest.approx(5.0)
    assert turn.soft_end_s == pytest.approx(5.06)
    assert turn.committed_s == pytest.approx(5.3)
    assert turn.audible_s == pytest.approx(max(turn.committed_s, turn.tts_first_audio_s) + 0.02)
    assert turn.end_s - turn.audible_s == pytest.approx(40 * 3.5 / 14 + turn.gap_s, abs=0.05)
    assert turn.underruns == 0
    stages = [span.stage for span in shared.spans]
    assert stages.count("asr") == 3 + 1  # at 0.7, 1.4 and 2.1 s, and all of it
    assert stages.count("slm") == 1


def test_a_pause_that_looks_like_an_end_costs_work_and_nobody_hears_it() -> None:
    whole, hesitating = service(at_top(chip())), service(at_top(chip()))
    Session("user", iter([PLAIN]), whole)
    Session("user", iter([HESITATING]), hesitating)
    whole.machine.run_until(30.0)
    hesitating.machine.run_until(30.0)
    (turn,) = hesitating.turns
    assert turn.speech_end_s == pytest.approx(2.0 + 3.4)
    assert turn.audible_s > turn.committed_s >= turn.speech_end_s + 0.3
    assert hesitating.machine.energy_j["dynamic"] > whole.machine.energy_j["dynamic"]


def test_synthesis_stays_two_and_a_half_seconds_ahead() -> None:
    shared = service(at_top(chip()))
    Session("user", iter([PLAIN]), shared)
    shared.machine.run_until(30.0)
    (turn,) = shared.turns
    last = max(span.end_s for span in shared.spans if span.stage == "tts")
    assert turn.end_s - last > 1.0
    assert last - turn.audible_s > 4.0


def test_a_slow_box_falls_silent_in_the_middle() -> None:
    slow = replace(chip(), stage_cycles={**chip().stage_cycles, "tts": 30.0})
    shared = service(at_top(slow))
    Session("user", iter([PLAIN]), shared)
    shared.machine.run_until(200.0)
    (turn,) = shared.turns
    assert turn.underruns > 0
    assert turn.end_s - turn.audible_s == pytest.approx(40 * 3.5 / 14 + turn.gap_s, abs=0.05)


def test_the_daemon_knows_what_is_to_be_done_next() -> None:
    shared = service(at_top(chip()))
    session = Session("user", iter([PLAIN]), shared)
    seen = []
    shared.on_change = lambda: seen.append(session.demand())
    shared.machine.run_until(30.0)
    phases = [demand.phase for demand in seen]
    assert [phase for phase in Phase if phase in phases] == list(Phase)
    answering = [demand for demand in seen if demand.phase is Phase.ANSWERING]
    assert [[work.stage for work in demand.work] for demand in answering[:4]] == [
        ["asr", "slm_read", "slm", "tts"],
        ["slm_read", "slm", "tts"],
        ["slm", "tts"],
        ["tts"],
    ]
    assert all(demand.due_s == pytest.approx(5.0 + 0.7) for demand in answering)
    speaking = [demand for demand in seen if demand.phase is Phase.SPEAKING and demand.work]
    assert {work.stage for demand in speaking for work in demand.work} <= {"slm", "tts"}
    assert all(demand.due_s is not None for demand in speaking)


def test_a_dropped_revision_does_nothing_more() -> None:
    shared = service(at_top(chip()))
    turn = Turn("user", 1, 0.0, speech_end_s=1.0)
    revision = Revision(shared, "user", Random(1))  # noqa: S311
    Reply(revision, turn, (8,), lambda: None).begin(5.0, 1, 10, lambda: None)
    shared.machine.run_until(1.05)
    revision.drop()
    shared.machine.run_until(5.0)
    assert math.isnan(turn.asr_final_s)
    assert shared.spans == []
    assert shared.machine.tasks == []


def test_doubtful_words_are_looked_at_twice() -> None:
    took_s = []
    for doubtful in (False, True):
        shared = service(at_top(chip()))
        Session("user", iter([replace(PLAIN, doubtful=doubtful)]), shared)
        shared.machine.run_until(30.0)
        (turn,) = shared.turns
        took_s.append(turn.asr_final_s - turn.soft_end_s)
    assert took_s[1] == pytest.approx(2 * took_s[0], rel=1e-3)


def test_a_box_that_is_late_begins_with_fewer_words() -> None:
    slow = replace(chip(), stage_cycles={**chip().stage_cycles, "slm": 8.0})
    first_s = []
    for box in (chip(), slow):
        shared = service(at_top(box))
        Session("user", iter([PLAIN]), shared)
        shared.machine.run_until(30.0)
        (turn,) = shared.turns
        first_s.append(turn.slm_first_clause_s - turn.slm_first_token_s)
        assert turn.end_s - turn.audible_s == pytest.approx(40 * 3.5 / 14 + turn.gap_s, abs=0.05)
    assert first_s[1] < 0.8 * first_s[0] * 8


def test_windows_grow_and_cover_the_clause() -> None:
    for sound_s in (0.1, 0.25, 0.6, 2.0, 5.0):
        found = list(windows(sound_s))
        assert sum(seconds for seconds, _ in found) == pytest.approx(sound_s)
        assert min(seconds for seconds, _ in found) >= min(sound_s, 0.25)
        assert all(phonemes > 14 * seconds for seconds, phonemes in found)
    assert [seconds for seconds, _ in windows(1.9)] == pytest.approx([0.25, 0.5, 1.15])


def test_looks_at_a_long_speech_come_ever_further_apart() -> None:
    assert list(partials(3.0)) == pytest.approx([0.7, 1.4, 2.1])
    assert list(partials(6.0)) == pytest.approx([0.7, 1.4, 2.1, 3.15, 4.725])
