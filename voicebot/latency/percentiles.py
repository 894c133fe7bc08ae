"""Percentiles as they are reported everywhere: the nearest rank, so that each is a value that was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least `share` (0..1] of all values do not exceed; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(values: Sequence[float]) -> dict[str, float | None]:
    """Return p50, p90, p95 and max, rounded to a tenth."""
    found = {"p50": percentile(values, 0.5), "p90": percentile(values, 0.9), "p95": percentile(values, 0.95)}
    found["max"] = max(values, default=None)
    return {name: None if value is None else round(value, 1) for name, value in found.items()}
