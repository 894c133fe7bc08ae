from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from tests.sim.boxes import CORE, ONE_GIGACYCLE, Clockwork, at_top, chip
from voicebot.cpu.placement import Seat, Speed
from voicebot.sim.costs import Amount
from voicebot.sim.governors import fixed
from voicebot.sim.machine import Machine

ONE = Seat((0,), 1)
BOTH = Seat((0, 1), 2)


@pytest.mark.parametrize(("share", "ghz", "volts"), [(0.5, 1.0, 0.8), (1.0, 2.0, 1.0)])
def test_one_task_takes_the_time_and_energy_of_its_cycles(share: float, ghz: float, volts: float) -> None:
    machine = at_top(chip(), fixed(share))
    before = dict(machine.energy_j)
    clock = Clockwork(machine)
    machine.submit("asr", ONE_GIGACYCLE, ONE, lambda: clock.note("it"))
    machine.run_until(3.0)
    busy_s = 1 / ghz
    assert clock.done_s["it"] == pytest.approx(1.0 + busy_s)
    used = {name: joules - before[name] for name, joules in machine.energy_j.items()}
    assert used["dynamic"] == pytest.approx(500e-6 * ghz * 1000 * volts**2 * busy_s)
    assert used["static"] == pytest.approx(0.1 * volts**2 * (busy_s + 1e-3))
    assert used["asleep"] == pytest.approx(0.01 * (2.0 + 2.0 - busy_s - 1e-3))
    assert used["uncore"] == pytest.approx(0.3 * 2.0)
    assert used["dram"] == 0


def test_memory_costs_by_the_byte_and_waiting_by_a_share() -> None:
    machine = at_top(chip())
    before = dict(machine.energy_j)
    machine.submit("slm", Amount(1e9, 4e9), ONE, lambda: None)
    machine.run_until(3.0)
    assert machine.energy_j["dram"] == pytest.approx(4e9 * 50e-12)
    computing_s, waiting_s = 0.5, 0.5
    assert machine.energy_j["dynamic"] - before["dynamic"] == pytest.approx(1.0 * (computing_s + 0.5 * waiting_s))


def test_pacing_needs_less_dynamic_energy_than_racing_by_the_square_of_the_volts() -> None:
    joules = {}
    for share in (0.5, 1.0):
        machine = at_top(chip(), fixed(share))
        before = machine.energy_j["dynamic"]
        machine.submit("asr", ONE_GIGACYCLE, ONE, lambda: None)
        machine.run_until(5.0)
        joules[share] = machine.energy_j["dynamic"] - before
    assert joules[0.5] / joules[1.0] == pytest.approx(0.8**2 / 1.0**2)


def test_two_tasks_that_share_memory_take_as_long_as_all_their_bytes() -> None:
    machine = at_top(chip())
    clock = Clockwork(machine)
    machine.submit("slm", Amount(1.0, 5e9), ONE, lambda: clock.note("short"))
    machine.submit("slm", Amount(1.0, 8e9), Seat((1,), 1), lambda: clock.note("long"))
    machine.run_until(5.0)
    assert clock.done_s["short"] == pytest.approx(1.0 + 5 / 5, rel=1e-4)
    assert clock.done_s["long"] == pytest.approx(1.0 + 5 / 5 + 3 / 8, rel=1e-4)


def test_a_frequency_comes_a_millisecond_after_it_was_asked_for() -> None:
    machine = at_top(chip(), fixed(0.1))
    clock = Clockwork(machine)
    machine.submit("asr", ONE_GIGACYCLE, ONE, lambda: clock.note("it"))
    machine.limit({"policy0": Speed(2_000_000, 2_000_000)})
    machine.run_until(1.0005)
    assert machine.khz["policy0"] == 500_000
    machine.run_until(5.0)
    assert clock.done_s["it"] == pytest.approx(1.0 + 1e-3 + (1e9 - 0.5e9 * 1e-3) / 2e9)


def test_a_task_waits_for_cores_that_sleep_unless_they_must_not() -> None:
    slow = replace(chip(), wake_up_s=2e-3)
    for allowed, delay_s in ((True, 2e-3), (False, 0.0)):
        machine = at_top(slow)
        machine.let_sleep(allowed=allowed)
        machine.run_until(1.5)
        clock = Clockwork(machine)
        machine.submit("asr", ONE_GIGACYCLE, BOTH, partial(clock.note, "it"))
        machine.run_until(3.0)
        assert clock.done_s["it"] == pytest.approx(1.5 + delay_s + 0.25)


def test_idling_costs_the_watts_of_idle_cores() -> None:
    machine = at_top(chip())
    before = sum(machine.energy_j.values())
    machine.run_until(3601.0)
    assert machine.watts == pytest.approx(0.3 + 2 * 0.01)
    assert sum(machine.energy_j.values()) - before == pytest.approx(3600 * (0.3 + 0.02 + 2.0))


def test_what_always_runs_takes_its_share_of_a_core() -> None:
    machine = Machine(chip(), fixed(0.5), {0: 0.25e9})
    machine.run_until(2.0)
    point = chip().point("policy0", 1_000_000)
    expected_w = 0.25 * (CORE.dynamic_w(point) + CORE.static_w(point)) + 0.75 * 0.01 + 0.01 + 0.3
    assert machine.watts == pytest.approx(expected_w)
    clock = Clockwork(machine)
    machine.submit("asr", ONE_GIGACYCLE, ONE, lambda: clock.note("it"))
    machine.run_until(9.0)
    assert clock.done_s["it"] == pytest.approx(2.0 + 1 / 0.75)


def test_the_energy_is_the_power_over_the_time() -> None:
    machine = Machine(chip(), fixed(1.0))
    joules = 0.0

    def add(seconds: float, watts: float) -> None:
        nonlocal joules
        joules += seconds * watts

    def begin(seat: Seat) -> None:
        machine.submit("slm", Amount(3e8, 1e9), seat, lambda: None)

    machine.on_segment = add
    for number in range(20):
        seat = BOTH if number % 3 else ONE
        machine.at(0.3 * number, partial(begin, seat))
    machine.run_until(20.0)
    assert joules == pytest.approx(sum(machine.energy_j.values()) - machine.energy_j["board"])
    assert machine.energy_j["dram"] == pytest.approx(20 * 1e9 * 50e-12)


def test_the_firmware_slows_a_hot_box_down_and_the_heat_settles_there() -> None:
    hot = replace(chip(), cooling=replace(chip().cooling, sink_k_per_w=40.0, sink_j_per_k=2.0))
    machine = Machine(hot, fixed(1.0))
    machine.submit("slm", Amount(1e15, 0), BOTH, lambda: None)
    machine.run_until(600.0)
    assert machine.throttle.events >= 1
    assert machine.throttled_s > 100
    assert machine.khz["policy0"] < 2_000_000 or machine.throttle.state == 0
    assert 85 < machine.hottest_c < 88


def test_a_moved_task_goes_on_elsewhere() -> None:
    machine = at_top(chip())
    clock = Clockwork(machine)
    machine.submit("slm", ONE_GIGACYCLE, ONE, lambda: clock.note("it"))
    machine.submit("tts", ONE_GIGACYCLE, ONE, lambda: clock.note("other"))
    machine.run_until(1.5)
    machine.reseat({"tts": Seat((1,), 4)})
    machine.run_until(3.0)
    assert clock.done_s["it"] == clock.done_s["other"] == pytest.approx(1.5 + 0.25)


def test_a_cancelled_task_is_never_done() -> None:
    machine = at_top(chip())
    clock = Clockwork(machine)
    task = machine.submit("slm", ONE_GIGACYCLE, ONE, lambda: clock.note("it"))
    machine.run_until(1.1)
    machine.cancel(task)
    machine.run_until(3.0)
    assert clock.done_s == {}
    assert machine.busy_s[0] == pytest.approx(0.1)
