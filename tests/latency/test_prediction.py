"""Predicted times of a stage: the terms behind them, the margin, and what neither is moved by."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.latency.cost import StageCost
from voicebot.latency.prediction import Prediction

TRUE = StageCost(0.05, 0.02, 0.01)
PRIOR = StageCost(0.1, 0.005, 0.0, margin=1.5)
BURN_IN, JUDGED = 50, 100
Box = Callable[[np.random.Generator, int], float]
"""How many times as long as expected the n-th request takes."""


def steady(rng: np.random.Generator, number: int) -> float:
    del number
    return float(rng.lognormal(0, 0.08))


def heavy_tailed(rng: np.random.Generator, number: int) -> float:
    late = rng.random() < 0.08
    return steady(rng, number) * (float(1.3 + rng.pareto(2.0)) if late else 1.0)


def drifting(rng: np.random.Generator, number: int) -> float:
    """Warm up and slow down by two thirds."""
    return heavy_tailed(rng, number) * (1 + 0.65 * min(1.0, number / 120))


class Clustered:
    """Somebody else's work comes and stays for some requests, of which there are a fifth."""

    def __init__(self) -> None:
        self._busy = False

    def __call__(self, rng: np.random.Generator, number: int) -> float:
        self._busy = rng.random() < (0.75 if self._busy else 0.06)
        return steady(rng, number) * (float(rng.uniform(1.4, 2.2)) if self._busy else 1.0)


def request(rng: np.random.Generator, *, ghz: float | None = None) -> tuple[float, float]:
    return float(rng.uniform(1, 30)), float(rng.choice([1.0, 1.4, 1.8, 2.4])) if ghz is None else ghz


def taught(box: Box, seed: int, count: int, *, ghz: float | None = None, prior: StageCost = PRIOR) -> Prediction:
    rng, prediction = np.random.default_rng(seed), Prediction(prior)
    for number in range(count):
        units, at_ghz = request(rng, ghz=ghz)
        prediction.observe(units, at_ghz, box(rng, number) * TRUE.seconds(units, at_ghz))
    return prediction


def share_below(box: Box, seed: int) -> float:
    """Return how many of a hundred requests after the first fifty took no longer than was predicted with care."""
    rng, prediction, below = np.random.default_rng(seed), Prediction(PRIOR), 0
    for number in range(BURN_IN + JUDGED):
        units, ghz = request(rng)
        seconds = box(rng, number) * TRUE.seconds(units, ghz)
        below += number >= BURN_IN and seconds <= prediction.cost.careful_seconds(units, ghz)
        prediction.observe(units, ghz, seconds)
    return below / JUDGED


def test_before_anything_was_observed_it_is_what_was_assumed() -> None:
    assert Prediction(PRIOR).cost == PRIOR


@pytest.mark.parametrize("box", [steady, heavy_tailed])
@pytest.mark.parametrize("seed", range(5))
def test_the_terms_are_recovered_from_noise_at_differing_frequencies(box: Box, seed: int) -> None:
    cost = taught(box, seed, 200).cost
    assert cost.gcycles_per_unit == pytest.approx(TRUE.gcycles_per_unit, rel=0.1)
    for ghz in (1.0, 2.4):
        assert cost.seconds(15, ghz) == pytest.approx(TRUE.seconds(15, ghz), rel=0.05)


def test_much_noise_and_work_of_one_size_take_some_hundred_observations_and_not_only_the_newest() -> None:
    rng, prediction = np.random.default_rng(0), Prediction(PRIOR)
    for _ in range(1000):
        ghz = float(rng.choice([1.2, 2.4]))
        prediction.observe(5, ghz, float(rng.lognormal(0, 0.3)) * TRUE.seconds(5, ghz))
    assert prediction.cost.gcycles_per_unit == pytest.approx(TRUE.gcycles_per_unit, rel=0.1)


def test_without_noise_every_term_is_exact() -> None:
    cost = taught(lambda *_: 1.0, 0, 200).cost
    found = (cost.base_s, cost.gcycles_per_unit, cost.memory_s_per_unit)
    assert found == pytest.approx((TRUE.base_s, TRUE.gcycles_per_unit, TRUE.memory_s_per_unit), rel=0.02)


def test_at_an_unknown_frequency_all_is_taken_for_computing() -> None:
    cost = taught(steady, 1, 100, ghz=1.0).cost
    assert cost.memory_s_per_unit == 0
    assert cost.gcycles_per_unit == pytest.approx(0.03, rel=0.05)
    assert cost.base_s == pytest.approx(TRUE.base_s, rel=0.3)


def test_at_one_known_frequency_the_proportion_stays_as_it_was_known_before() -> None:
    cost = taught(steady, 1, 100, ghz=2.0, prior=StageCost(0.01, 0.06, 0.03)).cost
    assert cost.gcycles_per_unit / cost.memory_s_per_unit == pytest.approx(2)
    assert cost.seconds(15, 2.0) == pytest.approx(TRUE.seconds(15, 2.0), rel=0.05)


def test_work_that_is_always_the_same_keeps_the_shape_that_was_assumed() -> None:
    prediction = Prediction(StageCost(0.1, 0.02, 0.0))
    for _ in range(30):
        prediction.observe(5, 1.0, 0.4)
    cost = prediction.cost
    assert cost.seconds(5, 1.0) == pytest.approx(0.4, rel=0.02)
    assert cost.seconds(10, 1.0) == pytest.approx(0.6, rel=0.1)


def test_a_few_observations_set_the_level() -> None:
    prediction = Prediction(StageCost(0.1, 0.02, 0.0))
    for units in (2, 8, 5):
        prediction.observe(units, 1.0, 3 * (0.1 + 0.02 * units))
    assert prediction.cost.seconds(20, 1.0) == pytest.approx(3 * 0.5, rel=0.05)


def test_one_request_that_took_forever_hardly_moves_what_is_expected() -> None:
    prediction = taught(steady, 2, 60)
    before_s = prediction.cost.seconds(10, 1.4)
    prediction.observe(10, 1.4, 100 * before_s)
    assert prediction.cost.seconds(10, 1.4) == pytest.approx(before_s, rel=0.03)


def test_a_cluster_of_late_requests_makes_it_careful_at_once_and_calm_ones_slowly_less() -> None:
    prediction = taught(steady, 3, 60)
    margins = [prediction.cost.margin]
    for factor in (2.0,) * 5 + (1.0,) * 5:
        prediction.observe(10, 1.4, factor * TRUE.seconds(10, 1.4))
        margins.append(prediction.cost.margin)
    assert margins[5] > 1.4 * margins[0]
    assert margins[5] > margins[10] > 0.9 * margins[5]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("make_box", [lambda: steady, lambda: heavy_tailed, lambda: drifting, Clustered])
def test_nine_of_ten_take_no_longer_than_predicted_with_care(make_box: Callable[[], Box], seed: int) -> None:
    assert 0.85 <= share_below(make_box(), seed) <= 0.95


@pytest.mark.parametrize(
    "wrong",
    [(-1, 1.0, 1.0), (1, 0.0, 1.0), (1, 1.0, -0.1), (math.nan, 1.0, 1.0), (1, math.inf, 1.0), (1, 1.0, math.inf)],
)
def test_what_cannot_be_is_not_learnt(wrong: tuple[float, float, float]) -> None:
    prediction = Prediction(PRIOR)
    prediction.observe(*wrong)
    assert prediction.cost == PRIOR
    assert prediction.observations == 0


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.floats(0.2, 6), st.floats(0, 100)), min_size=1, max_size=40),
    st.tuples(st.floats(0, 10), st.floats(0, 1), st.floats(0, 1)),
)
def test_no_term_is_ever_negative_or_infinite(
    observed: list[tuple[float, float, float]], prior: tuple[float, float, float]
) -> None:
    prediction = Prediction(StageCost(*prior))
    for one in observed:
        prediction.observe(*one)
    cost = prediction.cost
    terms = (cost.base_s, cost.gcycles_per_unit, cost.memory_s_per_unit)
    assert all(math.isfinite(term) and term >= 0 for term in terms)
    assert 0 < cost.margin < math.inf
