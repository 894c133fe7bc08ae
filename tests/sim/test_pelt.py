from __future__ import annotations

import math

import pytest

from voicebot.sim.pelt import HALF_LIFE_S, Utilisation


def test_a_core_that_runs_at_the_top_gets_half_way_in_a_half_life() -> None:
    core = Utilisation()
    core.run(0.0, 1.0, 1.0)
    assert core.at(HALF_LIFE_S) == pytest.approx(0.5)
    assert core.at(3 * HALF_LIFE_S) == pytest.approx(1 - 1 / 8)
    core.run(1.0, 0.0, 1.0)
    assert core.at(1.0 + 2 * HALF_LIFE_S) == pytest.approx(core.at(1.0) / 4)


def test_at_half_the_frequency_time_counts_half() -> None:
    slow, fast = Utilisation(), Utilisation()
    slow.run(0.0, 1.0, 0.5)
    fast.run(0.0, 1.0, 1.0)
    assert slow.at(0.08) == pytest.approx(fast.at(0.04))


def test_a_little_work_is_believed_to_be_its_share_of_the_largest_core() -> None:
    core = Utilisation()
    core.run(0.0, 0.02, 0.5)
    assert core.at(10.0) == pytest.approx(0.02 * 0.5, rel=0.02)


def test_it_is_known_when_a_level_is_reached() -> None:
    core = Utilisation()
    core.run(0.0, 1.0, 0.8)
    when_s = core.reaches_s(0.6)
    assert core.at(when_s) == pytest.approx(0.6)
    assert core.reaches_s(1.1) == math.inf
    core.run(1.0, 0.0, 0.8)
    assert core.at(core.reaches_s(0.1)) == pytest.approx(0.1)
    assert core.reaches_s(2.0) == math.inf
