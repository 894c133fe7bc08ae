from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.sim.boxes import Clockwork, at_top, chip, unequal
from voicebot.cpu.box import OperatingPoint
from voicebot.cpu.placement import Seat, Speed
from voicebot.sim.chip import Chip
from voicebot.sim.costs import Amount
from voicebot.sim.governors import Ondemand, Schedutil, fixed, performance, powersave
from voicebot.sim.machine import Governor, Machine

ONE = Seat((0,), 1)
LONG = Amount(1e13, 0.0)


def wide() -> Chip:
    """Return a cluster whose lowest frequency is a fifth of the highest, in small steps."""
    small = chip()
    points = tuple(OperatingPoint(khz, 1.0) for khz in range(400_000, 2_000_001, 100_000))
    return replace(small, box=replace(small.box, clusters=(replace(small.box.clusters[0], points=points),)))


def reaches_s(machine: Machine, khz: int) -> float:
    """Return how long the machine takes until it has a frequency."""
    begin_s = machine.now_s
    while machine.khz["policy0"] != khz:
        machine.run_until(machine.now_s + 0.5e-3)
        assert machine.now_s < begin_s + 2.0
    return machine.now_s - begin_s


@pytest.mark.parametrize(
    ("governor", "khz"), [(performance(), 2_000_000), (powersave(), 500_000), (fixed(0.5), 1_000_000)]
)
def test_these_stay_where_they_are(governor: Governor, khz: int) -> None:
    machine = at_top(chip(), governor)
    assert machine.khz["policy0"] == khz
    machine.submit("slm", LONG, ONE, lambda: None)
    machine.run_until(2.0)
    assert machine.khz["policy0"] == khz


@pytest.mark.parametrize("make", [Ondemand, Schedutil, performance, powersave])
def test_everybody_keeps_within_the_limits(make: Callable[[], Governor]) -> None:
    machine = Machine(wide(), make())
    machine.limit({"policy0": Speed(600_000, 1_200_000)})
    machine.submit("slm", LONG, ONE, lambda: None)
    seen = set()
    for _ in range(400):
        machine.run_until(machine.now_s + 1e-3)
        seen.add(machine.khz["policy0"])
    assert seen - {400_000} <= set(range(600_000, 1_200_001, 100_000))


def test_schedutil_ramps_up_within_some_200_ms_and_down_again() -> None:
    machine = Machine(wide(), Schedutil())
    machine.run_until(1.0)
    task = machine.submit("slm", LONG, ONE, lambda: None)
    assert 0.120 < reaches_s(machine, 2_000_000) < 0.250
    machine.run_until(3.0)
    machine.cancel(task)
    assert 0.030 < reaches_s(machine, 400_000) < 0.120


def test_the_ramp_is_that_of_the_closed_form() -> None:
    """At 1.25 u of the top frequency u' = 1.25 k u (1 - u): logistic, from where it leaves the lowest frequency."""
    smooth = wide()
    points = tuple(OperatingPoint(khz, 1.0) for khz in range(400_000, 2_000_001, 5_000))
    smooth = replace(smooth, box=replace(smooth.box, clusters=(replace(smooth.box.clusters[0], points=points),)))
    smooth = replace(smooth, actuation_s=0.0)
    machine = Machine(smooth, Schedutil(rate_limit_s=0.0))
    machine.run_until(1.0)
    machine.submit("slm", LONG, ONE, lambda: None)
    decay = math.log(2) / 0.032
    leaves, arrives = 0.2 / 1.25, 0.8
    flat_s = -math.log(1 - leaves) / (decay * 0.2)
    ramp_s = (math.log(arrives / (1 - arrives)) - math.log(leaves / (1 - leaves))) / (1.25 * decay)
    assert reaches_s(machine, 2_000_000) == pytest.approx(flat_s + ramp_s, rel=0.03)


def test_with_estimates_the_next_request_starts_where_the_last_one_ended() -> None:
    for estimates, longest_s in ((True, 0.005), (False, 0.250)):
        machine = Machine(wide(), Schedutil(util_est=estimates))
        machine.cancel(machine.submit("slm", LONG, ONE, lambda: None))
        task = machine.submit("slm", LONG, ONE, lambda: None)
        machine.run_until(2.0)
        machine.cancel(task)
        machine.run_until(4.0)
        machine.submit("slm", LONG, ONE, lambda: None)
        took_s = reaches_s(machine, 2_000_000)
        assert took_s < longest_s
        assert estimates or took_s > 0.1


def test_a_clamp_is_a_floor_for_who_runs_and_a_ceiling() -> None:
    machine = Machine(wide(), Schedutil())
    machine.run_until(1.0)
    machine.submit("slm", LONG, replace(ONE, clamp_min=512), lambda: None)
    assert reaches_s(machine, 1_300_000) < 0.005
    low = Machine(wide(), Schedutil())
    low.submit("slm", LONG, replace(ONE, clamp_max=512), lambda: None)
    low.run_until(2.0)
    assert low.khz["policy0"] == 1_300_000


def test_a_lesser_core_is_at_its_top_with_less() -> None:
    machine = Machine(unequal(), Schedutil())
    machine.submit("slm", LONG, Seat((2,), 1), lambda: None)
    machine.run_until(2.0)
    assert machine.khz == {"policy0": 500_000, "policy2": 2_000_000}


def test_ondemand_goes_to_the_top_at_its_next_sample_and_follows_a_small_load() -> None:
    machine = Machine(wide(), Ondemand(), {1: 40e6})
    machine.run_until(1.0)
    assert machine.khz["policy0"] <= 600_000
    clock = Clockwork(machine)
    machine.submit("slm", Amount(2e8, 0), ONE, lambda: clock.note("it"))
    assert reaches_s(machine, 2_000_000) < 0.025
    machine.run_until(3.0)
    assert clock.done_s["it"] < 1.2
    assert machine.khz["policy0"] <= 600_000
