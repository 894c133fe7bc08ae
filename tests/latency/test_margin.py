"""The margin of a prediction: the share of misses that it keeps, and how fast it moves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.latency.margin import Margin

SPREAD = [0.9 + 0.02 * number for number in range(20)] + [10.0]


def test_a_miss_raises_it_nine_times_as_much_as_a_hit_lowers_it() -> None:
    up, down = Margin(1.5), Margin(1.5)
    up.follow(missed=True, ratios=SPREAD)
    for _ in range(9):
        down.follow(missed=False, ratios=SPREAD)
    assert up.factor * down.factor == pytest.approx(1.5**2)
    assert up.factor > 1.5


def test_the_more_times_vary_the_faster_it_moves() -> None:
    calm, wild = Margin(1.5), Margin(1.5)
    calm.follow(missed=True, ratios=SPREAD)
    wild.follow(missed=True, ratios=[ratio**2 for ratio in SPREAD])
    assert 1.5 < calm.factor < wild.factor


def test_it_is_never_far_above_the_worst_of_late() -> None:
    margin = Margin(3.0)
    margin.follow(missed=False, ratios=[1.0] * 5)
    assert margin.factor > 2.9
    margin.follow(missed=False, ratios=[1.0] * 20 + [1.2])
    assert margin.factor == pytest.approx(1.2)


@given(st.lists(st.floats(0.5, 4), min_size=30, max_size=200))
def test_misses_stay_as_rare_as_they_should_be_whatever_comes(ratios: list[float]) -> None:
    margin, misses = Margin(1.5), 0
    for number, ratio in enumerate(ratios):
        missed = ratio > margin.factor
        misses += missed
        margin.follow(missed=missed, ratios=[ratio] if number < 10 else SPREAD)
    shortest_step = 0.5 * math.log(1.24 / 0.94)
    assert misses <= 0.1 * len(ratios) + (math.log(4 / 0.5) + 0.25) / shortest_step + 1
