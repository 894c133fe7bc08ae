"""Slower by degrees, before the firmware does it by steps."""

from __future__ import annotations

import pytest

from tests.cpu.processors import TRIP_C, ZONE, rk3588
from voicebot.cpu.derating import Derating
from voicebot.cpu.settings import PolicySettings

SETTINGS = PolicySettings(heat_margin_c=6.0, heat_alpha_per_c=0.05, heat_band_c=2.0, heat_hold_s=5.0)


def allowed(*readings: tuple[float, dict[str, float]]) -> float:
    """What is allowed after readings at some times."""
    derating = Derating()
    for now_s, celsius in readings:
        derating = derating.then(rk3588(), celsius, SETTINGS, now_s)
    return derating.allowed


@pytest.mark.parametrize(("below_trip_c", "share"), [(20, 1.0), (6, 1.0), (5, 0.95), (2, 0.8), (0, 0.7), (-30, 0.0)])
def test_each_degree_above_the_threshold_takes_the_same_share(below_trip_c: float, share: float) -> None:
    assert allowed((0.0, {ZONE: TRIP_C - below_trip_c})) == pytest.approx(share)


def test_the_zone_nearest_to_its_trip_counts_and_one_without_a_trip_by_what_is_assumed() -> None:
    assert allowed((0.0, {ZONE: 50.0, "other": 82.0})) == pytest.approx(0.85)


def test_it_takes_hold_at_once_and_lets_go_after_a_while() -> None:
    hot, cool = {ZONE: 83.0}, {ZONE: 60.0}
    assert allowed((0.0, cool), (0.1, hot)) == pytest.approx(0.8)
    assert allowed((0.0, hot), (4.9, cool)) == pytest.approx(0.8)
    assert allowed((0.0, hot), (5.0, cool)) == 1.0


def test_cooling_counts_beyond_the_band_only() -> None:
    assert allowed((0.0, {ZONE: 83.0}), (60.0, {ZONE: 81.5})) == pytest.approx(0.8)
    assert allowed((0.0, {ZONE: 83.0}), (60.0, {ZONE: 80.0})) == pytest.approx(0.85)


def test_a_sensor_that_falls_silent_is_let_go_of() -> None:
    assert allowed((0.0, {ZONE: 83.0}), (60.0, {})) == 1.0
