"""The language model that all sessions share."""

from __future__ import annotations

from functools import partial

import pytest

from tests.sim.boxes import Clockwork, at_top, chip
from voicebot.cpu.demand import Work
from voicebot.cpu.placement import Seat
from voicebot.sim.batcher import Batcher, affordable_tokens
from voicebot.sim.chip import Chip, x86_8core
from voicebot.sim.costs import SLM_1_5B, SLM_2B, step_work
from voicebot.sim.machine import Machine
from voicebot.sim.workers import Seats

SEATS: Seats = {"slm": Seat((0, 1), 2)}


def seconds_of_step(box: Chip, tokens: int) -> float:
    amount = step_work(box, SLM_1_5B, tokens, tokens * SLM_1_5B.context_tokens)
    return amount.cycles / 4e9 + amount.traffic_bytes / 10e9


def batcher(machine: Machine) -> Batcher:
    return Batcher(machine, machine.chip, SLM_1_5B, SEATS, "seed")


def nothing() -> None:
    return


def test_sessions_share_the_reading_of_the_weights() -> None:
    took_s = {}
    for users in (1, 4):
        machine = at_top(chip())
        slm, clock = batcher(machine), Clockwork(machine)
        for user in range(users):
            slm.answer(str(user), 1, 20, 9.0, nothing, partial(clock.note, str(user)))
        machine.run_until(60.0)
        assert len(clock.done_s) == users
        took_s[users] = max(clock.done_s.values()) - 1.0
    assert took_s[1] == pytest.approx(20 * seconds_of_step(chip(), 1), rel=0.1)
    assert took_s[4] == pytest.approx(20 * seconds_of_step(chip(), 4), rel=0.1)
    assert took_s[4] < 4 * took_s[1]


def test_a_prompt_is_read_beside_a_reply_and_in_more_than_one_step_if_long() -> None:
    machine = at_top(chip())
    slm, clock = batcher(machine), Clockwork(machine)
    tokens = []
    slm.answer("talks", 1, 10, 9.0, nothing, lambda: tokens.append(machine.now_s))
    slm.read("asks", 20, lambda: clock.note("read"))
    machine.run_until(60.0)
    assert len(tokens) == 10
    assert tokens[3] == clock.done_s["read"]  # eight at a time, which is what the engine always leaves for prompts


def test_who_is_dropped_gets_nothing_and_the_others_all() -> None:
    machine = at_top(chip())
    slm = batcher(machine)
    tokens: dict[str, int] = {"stays": 0, "goes": 0}

    def count(name: str) -> None:
        tokens[name] += 1
        if tokens["stays"] == 3:
            slm.drop("goes")

    slm.answer("goes", 1, 10, 9.0, nothing, lambda: count("goes"))
    slm.answer("stays", 1, 10, 9.0, nothing, lambda: count("stays"))
    machine.run_until(60.0)
    assert tokens["stays"] == 10
    assert tokens["goes"] == 4  # it was alone in the first step


def test_a_step_that_nobody_waits_for_is_stopped() -> None:
    machine = at_top(chip())
    slm = batcher(machine)
    slm.read("asks", 30, nothing)
    machine.run_until(1.01)
    assert machine.tasks
    slm.drop("asks")
    assert not machine.tasks


def test_the_first_token_comes_with_the_last_of_the_prompt() -> None:
    machine = at_top(chip())
    slm, clock, tokens = batcher(machine), Clockwork(machine), list[float]()
    slm.answer("asks", 6, 3, 9.0, partial(clock.note, "read"), lambda: tokens.append(machine.now_s))
    works = [task.work for task in machine.tasks]
    machine.run_until(60.0)
    assert works == [Work("slm_read", 6)]
    assert len(tokens) == 3
    assert tokens[0] == clock.done_s["read"]


def test_who_is_waited_for_reads_before_who_is_not() -> None:
    machine = at_top(chip())
    slm, clock = batcher(machine), Clockwork(machine)
    slm.answer("talks", 1, 40, 9.0, nothing, nothing)
    slm.read("ahead", 16, partial(clock.note, "ahead"))
    slm.answer("asks", 16, 1, machine.now_s + 0.3, partial(clock.note, "asks"), nothing)
    machine.run_until(60.0)
    assert clock.done_s["asks"] < clock.done_s["ahead"]


def test_a_step_has_as_many_tokens_as_the_others_can_wait_for() -> None:
    box = x86_8core()
    assert affordable_tokens(box, SLM_2B, 4, 1e9) == 256
    assert affordable_tokens(box, SLM_2B, 4, 1.0) == 1
    assert affordable_tokens(box, SLM_2B, 4, 100.0) in range(4, 7)  # 40 ms for one, 13 more for each further
