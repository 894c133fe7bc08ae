"""Percentiles are values that were measured."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.latency.percentiles import percentile, summary


def test_without_values_there_is_no_percentile() -> None:
    assert percentile([], 0.5) is None
    assert summary([]) == {"p50": None, "p90": None, "p95": None, "max": None}


def test_of_one_value_every_percentile_is_that_value() -> None:
    assert summary([7.04]) == {"p50": 7.0, "p90": 7.0, "p95": 7.0, "max": 7.0}


def test_the_nearest_rank_of_ten() -> None:
    assert summary([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]) == {"p50": 5, "p90": 9, "p95": 10, "max": 10}


@pytest.mark.parametrize("percent", [50, 90, 95])
def test_the_rank_is_exact_for_every_number_of_values(percent: int) -> None:
    for count in range(1, 500):
        exact = -(-Fraction(percent, 100) * count // 1)
        assert percentile(range(1, count + 1), percent / 100) == exact


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_was_measured_and_covers_its_share(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9
