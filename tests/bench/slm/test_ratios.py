"""Ratios of paired runs: their mean, and how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from voicebot.bench.slm.ratios import interval, mean_ratio


def test_twice_as_fast_and_half_as_fast_cancel_out() -> None:
    assert mean_ratio([2.0, 0.5]) == pytest.approx(1.0)
    assert mean_ratio([3.0]) == pytest.approx(3.0)


def test_without_runs_there_is_no_figure() -> None:
    assert mean_ratio([]) is None
    assert interval([]) == (None, None)


def test_the_interval_is_that_of_the_mean() -> None:
    ratios = np.exp(np.random.default_rng(3).normal(0.1, 0.2, 200)).tolist()
    low, high = interval(ratios)
    mean = mean_ratio(ratios)
    assert low is not None
    assert high is not None
    assert mean is not None
    assert low < mean < high
    half = 1.96 * float(np.log(ratios).std()) / len(ratios) ** 0.5
    assert np.log([low, high]) == pytest.approx([np.log(mean) - half, np.log(mean) + half], abs=0.01)


def test_equal_runs_leave_no_doubt_and_the_draws_are_always_the_same() -> None:
    assert interval([1.1] * 5) == pytest.approx((1.1, 1.1))
    assert interval([0.9, 1.0, 1.3]) == interval([0.9, 1.0, 1.3])
    narrow, wide = interval([0.9, 1.0, 1.3], 0.5), interval([0.9, 1.0, 1.3], 0.95)
    assert wide[0] < narrow[0]  # type: ignore[operator]
    assert narrow[1] < wide[1]  # type: ignore[operator]
