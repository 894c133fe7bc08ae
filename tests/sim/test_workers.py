from __future__ import annotations

from functools import partial

import pytest

from tests.sim.boxes import ONE_GIGACYCLE, Clockwork, at_top, chip
from voicebot.cpu.placement import Role, Seat
from voicebot.sim.workers import Desk, Seats

SEATS: Seats = {role: Seat((0,), 1) for role in ("asr", "tts")}


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


@pytest.mark.parametrize(("role", "looks_s"), [("asr", 1 / 3), ("tts", 1 / 2)])
def test_a_cancelled_request_makes_room_for_the_next_as_soon_as_the_engine_looks(role: Role, looks_s: float) -> None:
    machine = at_top(chip())
    desk, clock = Desk(machine, role, SEATS), Clockwork(machine)
    running = desk.ask(ONE_GIGACYCLE, 2.0, lambda: clock.note("running"))
    waiting = desk.ask(ONE_GIGACYCLE, 3.0, lambda: clock.note("waiting"))
    desk.ask(ONE_GIGACYCLE, 4.0, lambda: clock.note("next"))
    machine.run_until(1.2)
    desk.cancel(waiting)
    desk.cancel(running)
    desk.cancel(running)
    machine.run_until(9.0)
    assert clock.done_s == {"next": pytest.approx(1.0 + looks_s + 0.5)}


def test_after_its_last_look_a_request_ends_at_once() -> None:
    machine = at_top(chip())
    desk, clock = Desk(machine, "asr", SEATS), Clockwork(machine)
    running = desk.ask(ONE_GIGACYCLE, 2.0, lambda: clock.note("running"))
    desk.ask(ONE_GIGACYCLE, 3.0, lambda: clock.note("next"))
    machine.run_until(1.4)
    desk.cancel(running)
    machine.run_until(9.0)
    assert clock.done_s == {"next": pytest.approx(1.9)}
