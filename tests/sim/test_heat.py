from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.sim.boxes import COOLING
from voicebot.sim.heat import Heat, Throttle


def test_it_settles_at_the_power_times_the_resistance() -> None:
    heat = Heat(COOLING)
    heat.pass_time(1e5, 4.0)
    assert heat.sink_c == pytest.approx(25 + 4 * 6)
    assert heat.die_c == pytest.approx(25 + 4 * (6 + 2))


def test_a_step_of_one_stage_is_an_exponential() -> None:
    still = replace(COOLING, sink_j_per_k=1e9)  # a sink that never warms up: Rd Cd alone, 4 s
    heat = Heat(still)
    for passed_s in (1.0, 2.0, 4.0):
        heat = Heat(still)
        heat.pass_time(passed_s, 5.0)
        assert heat.die_c == pytest.approx(25 + 5 * 2 * (1 - math.exp(-passed_s / 4)), abs=1e-3)


def test_many_steps_are_one() -> None:
    once, often = Heat(COOLING), Heat(COOLING)
    once.pass_time(60.0, 3.0)
    for _ in range(600):
        often.pass_time(0.1, 3.0)
    assert often.die_c == pytest.approx(once.die_c)
    assert often.sink_c == pytest.approx(once.sink_c)


def test_it_obeys_its_differential_equations() -> None:
    heat = Heat(COOLING)
    die_c = sink_c = 25.0
    step_s = 1e-4
    for index in range(50_000):
        watts = 6.0 if index < 25_000 else 1.0
        flow = (die_c - sink_c) / 2.0
        die_c, sink_c = (
            die_c + step_s * (watts - flow) / 2.0,
            sink_c + step_s * (flow - (sink_c - 25.0) / 6.0) / 30.0,
        )
    heat.pass_time(2.5, 6.0)
    heat.pass_time(2.5, 1.0)
    assert heat.die_c == pytest.approx(die_c, abs=1e-3)
    assert heat.sink_c == pytest.approx(sink_c, abs=1e-3)


def test_the_throttle_steps_down_while_it_gets_hotter_and_up_when_it_has_cooled() -> None:
    throttle = Throttle(COOLING)
    states = []
    for celsius in (84, 85, 86, 85.5, 86, 87, 84, 82, 81, 80):
        throttle.look(celsius, most=2)
        states.append(throttle.state)
    assert states == [0, 1, 2, 2, 2, 2, 2, 1, 0, 0]
    assert throttle.events == 1
