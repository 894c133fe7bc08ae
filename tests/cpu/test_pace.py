"""The lowest speed that is in time, the knee beyond which more buys nothing, and what a cycle costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cpu.processors import rk3588
from voicebot.cpu.box import Cluster, OperatingPoint
from voicebot.cpu.pace import AT_ONCE_S, Curve, efficient_khz, khz_at, levels, nothing, power, speeds
from voicebot.latency.cost import StageCost

BIG = rk3588().clusters[1]
LITTLE = rk3588().clusters[0]
LEVELS = levels(rk3588().clusters)
COMPUTING = StageCost(0.0, 0.24, 0.0)
WAITING = StageCost(0.0, 0.0024, 0.05)


def curve(units: float, cost: StageCost, *clusters: Cluster) -> Curve:
    return Curve.of(LEVELS, units, [(speeds(each, LEVELS), cost) for each in clusters or (BIG,)])


def test_the_levels_are_the_shares_of_all_points_and_end_at_the_top() -> None:
    assert len(LEVELS) == 7 + 5 - 1  # both have a top
    assert list(LEVELS) == sorted(LEVELS)
    assert LEVELS[-1] == 1


@pytest.mark.parametrize("cluster", rk3588().clusters)
def test_the_level_of_a_point_gives_the_point(cluster: Cluster) -> None:
    assert [khz_at(cluster, point.khz / cluster.highest_khz) for point in cluster.points] == [
        point.khz for point in cluster.points
    ]


def test_work_on_two_kinds_of_core_takes_as_long_as_on_the_slower() -> None:
    assert curve(2, COMPUTING, BIG, LITTLE) == curve(2, COMPUTING, LITTLE)


def test_one_work_after_another_takes_the_sum() -> None:
    one, two = curve(1, COMPUTING), curve(2, COMPUTING)
    assert (one + two).seconds == pytest.approx(curve(3, COMPUTING).seconds)
    assert one + nothing(LEVELS) == one


@pytest.mark.parametrize(("within_s", "mhz"), [(0.2, 1200), (0.15, 1608), (0.1199, 2016), (0.1, 2400), (0.05, 2400)])
def test_the_lowest_point_that_is_in_time_and_the_top_if_none_is(within_s: float, mhz: int) -> None:
    assert khz_at(BIG, curve(1, COMPUTING).level_for(within_s)) == mhz * 1000


def test_work_that_computes_has_its_knee_at_the_top_and_work_that_waits_at_the_bottom() -> None:
    knees = [curve(9, cost).level_for(AT_ONCE_S, 0.05) for cost in (COMPUTING, WAITING)]
    assert [khz_at(BIG, knee) for knee in knees] == [2_400_000, 1_200_000]


@given(st.floats(0, 0.3), st.floats(0.0005, 0.5), st.floats(0, 0.1), st.floats(0, 20), st.floats(0, 1))
def test_the_knee_loses_no_more_than_it_may(
    base_s: float, cycles: float, memory_s: float, n: float, loss: float
) -> None:
    work = curve(n, StageCost(base_s, cycles, memory_s))
    slow_s = dict(zip(LEVELS, work.seconds, strict=True))[work.level_for(AT_ONCE_S, loss)]
    assert slow_s <= (1 + loss) * work.top_s


def test_how_long_it_takes_when_a_level_is_the_most() -> None:
    work = curve(1, COMPUTING)
    assert work.at_most(1.0) == work.top_s == pytest.approx(0.1)
    assert work.at_most(0.5) == pytest.approx(0.2)
    assert work.at_most(0.1) == work.seconds[0]


def test_a_little_core_at_its_top_takes_more_for_the_work_than_a_big_one_at_its_bottom() -> None:
    little, big = power(LITTLE, 1_800_000, 0.0), power(BIG, 1_200_000, 0.0)
    assert little is not None
    assert big is not None
    assert little / (LITTLE.capacity * 1.0) > big / (BIG.capacity * 0.5)


def test_leakage_makes_it_pay_to_race_where_the_voltage_is_flat() -> None:
    flat = Cluster("flat", (0,), points=tuple(OperatingPoint(khz, 1.0) for khz in (1000, 2000, 3000)))
    assert efficient_khz(flat, 0.0) == 1000
    assert efficient_khz(flat, 0.1) == 3000
    assert efficient_khz(BIG, 0.1) == 1_200_000


def test_without_voltages_slower_is_taken_for_better() -> None:
    silent = Cluster("silent", (0,), points=(OperatingPoint(1000), OperatingPoint(2000)))
    assert power(silent, 1000, 0.1) is None
    assert efficient_khz(silent, 0.9) == 1000
