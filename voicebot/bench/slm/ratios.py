"""How much faster one way is than another, from runs in pairs: pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

_RESAMPLES: Final = 10_000
_SEED: Final = 1


def mean_ratio(ratios: Sequence[float]) -> float | None:
    """Return the geometric mean, for which twice as fast and half as fast cancel out; None without ratios."""
    return float(np.exp(np.log(ratios).mean())) if ratios else None


def interval(ratios: Sequence[float], share: float = 0.95) -> tuple[float | None, float | None]:
    """Return the interval in which the mean ratio lies with probability `share`; None without ratios.

    The percentile bootstrap (Efron 1979): the means of as many ratios drawn again from these, always the same draws.
    """
    if not ratios:
        return None, None
    drawn = np.random.default_rng(_SEED).integers(len(ratios), size=(_RESAMPLES, len(ratios)))
    means = np.log(ratios)[drawn].mean(axis=1)
    low, high = np.exp(np.quantile(means, [(1 - share) / 2, (1 + share) / 2]))
    return float(low), float(high)
