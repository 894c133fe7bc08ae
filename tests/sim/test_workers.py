from __future__ import annotations

from functools import partial

import pytest

from tests.sim.boxes import ONE_GIGACYCLE, Clockwork, at_top, chip
from voicebot.cpu.placement import Seat
from voicebot.sim.chip import Chip
from voicebot.sim.costs import SLM_1_5B, step_work
from voicebot.sim.machine import Machine
from voicebot.sim.workers import Batcher, Desk, Seats

SEATS: Seats = {"asr": Seat((0,), 1), "slm": Seat((0, 1), 2)}


def seconds_of_step(box: Chip, tokens: int) -> float:
    amount = step_work(box, SLM_1_5B, tokens, tokens * SLM_1_5B.context_tokens)
    return amount.cycles / 4e9 + amount.traffic_bytes / 10e9


def batcher(machine: Machine) -> Batcher:
    return Batcher(machine, machine.chip, SLM_1_5B, SEATS, "seed")


def test_a_desk_does_one_request_after_the_other_the_most_urgent_first() -> None:
    machine = at_top(chip())
    desk, clock = Desk(machine, "asr", SEATS), Clockwork(machine)
    for name, deadline_s in (("first", 9.0), ("late", 8.0), ("urgent", 2.0)):
        desk.ask(ONE_GIGACYCLE, deadline_s, partial(clock.note, name))
    machine.run_until(9.0)
    assert clock.done_s == {
        "first": pytest.approx(1.5),
        "urgent": pytest.approx(2.0),
        "late": pytest.approx(2.5),
    }


def test_a_cancelled_request_makes_room_for_the_next() -> None:
    machine = at_top(chip())
    desk, clock = Desk(machine, "asr", SEATS), Clockwork(machine)
    running = desk.ask(ONE_GIGACYCLE, 2.0, lambda: clock.note("running"))
    waiting = desk.ask(ONE_GIGACYCLE, 3.0, lambda: clock.note("waiting"))
    desk.ask(ONE_GIGACYCLE, 4.0, lambda: clock.note("next"))
    machine.run_until(1.2)
    desk.cancel(waiting)
    desk.cancel(running)
    machine.run_until(9.0)
    assert clock.done_s == {"next": pytest.approx(1.7)}


def test_sessions_share_the_reading_of_the_weights() -> None:
    took_s = {}
    for users in (1, 4):
        machine = at_top(chip())
        slm, clock = batcher(machine), Clockwork(machine)
        for user in range(users):
            slm.reply(str(user), 20, partial(clock.note, str(user)))
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
    slm.reply("talks", 10, lambda: tokens.append(machine.now_s))
    slm.read("asks", 50, 3.0, lambda: clock.note("read"))
    machine.run_until(60.0)
    assert len(tokens) == 10
    assert tokens[2] == clock.done_s["read"]


def test_who_is_dropped_gets_nothing_and_the_others_all() -> None:
    machine = at_top(chip())
    slm = batcher(machine)
    tokens: dict[str, int] = {"stays": 0, "goes": 0}

    def count(name: str) -> None:
        tokens[name] += 1
        if tokens["stays"] == 3:
            slm.drop("goes")

    slm.reply("goes", 10, lambda: count("goes"))
    slm.reply("stays", 10, lambda: count("stays"))
    machine.run_until(60.0)
    assert tokens["stays"] == 10
    assert tokens["goes"] == 4  # it was alone in the first step


def test_a_step_that_nobody_waits_for_is_stopped() -> None:
    machine = at_top(chip())
    slm = batcher(machine)
    slm.read("asks", 30, 3.0, lambda: None)
    machine.run_until(1.01)
    assert machine.tasks
    slm.drop("asks")
    assert not machine.tasks
