"""Whether something grows: samples of a long run, the line through them, and what is wrong with it."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

WARM_UP: Final = 0.2
"""The share of the run in which caches, pools and the conversation's memory fill; it is not judged."""
_SURE: Final = 2.0
"""Standard errors; a slope within as many is noise."""
_LEAST: Final = 8
"""So few samples, of what is judged, say nothing of a slope."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was held at one moment, while nobody spoke."""

    hours: float
    """Of the conversation's time."""
    turns: int
    rss_mb: float
    """Of the daemon."""
    pss_mb: Mapping[str, float] = field(default_factory=dict)
    """By worker; of a model's file in memory, which others may use as well, only its share."""
    anonymous_mb: Mapping[str, float] = field(default_factory=dict)
    """By worker; what it has allocated, and no file."""
    tasks: int = 0
    threads: int = 0
    """Of the daemon and all workers; so are the descriptors."""
    descriptors: int = 0

    @property
    def allocated_mb(self) -> float:
        """What all workers have allocated."""
        return sum(self.anonymous_mb.values())


@dataclass(frozen=True, slots=True)
class Line:
    """Least squares: a slope per hour with its standard error."""

    slope: float
    error: float
    at_start: float
    """The line's value at hour 0."""

    @property
    def rises(self) -> bool:
        """Whether it does by more than its noise."""
        return self.slope > _SURE * self.error


def fit(hours: Sequence[float], values: Sequence[float]) -> Line:
    """Return the line through them; a flat one through fewer than 3.

    What lies above the line at one moment likely does at the next, as memory is taken in steps: the standard error is
    that of as many independent samples as the residuals' lag-1 autocorrelation leaves (Santer et al., "Statistical
    significance of trends and trend differences in layer-average atmospheric temperature time series", 2000).
    """
    if len(values) < 3:
        return Line(0.0, 0.0, values[0] if values else 0.0)
    slope, at_start = statistics.linear_regression(hours, values)
    residuals = [value - (at_start + slope * hour) for hour, value in zip(hours, values, strict=True)]
    squares = sum(residual**2 for residual in residuals)
    if squares <= 1e-9 * len(values):  # less than a byte's noise: they lie on the line
        return Line(slope, 0.0, at_start)
    alike = sum(one * other for one, other in itertools.pairwise(residuals)) / squares
    alike = min(max(alike, 0.0), 0.99)
    independent = max(3.0, len(values) * (1 - alike) / (1 + alike))
    mean = statistics.fmean(hours)
    spread = sum((hour - mean) ** 2 for hour in hours)
    return Line(slope, math.sqrt(squares / (independent - 2) / spread), at_start)


def warm(samples: Sequence[Sample]) -> list[Sample]:
    """Return those after the warm-up."""
    end = samples[-1].hours if samples else 0.0
    return [sample for sample in samples if sample.hours >= WARM_UP * end]


def growth(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return each line, and of what is counted the floor in either half of the run after the warm-up.

    What is left behind raises the floor; what merely comes and goes does not.
    """
    kept = warm(samples)
    halves = kept[: len(kept) // 2], kept[len(kept) // 2 :]
    hours = [sample.hours for sample in kept]
    lines = {"daemon_rss": [sample.rss_mb for sample in kept]}
    if kept and kept[0].anonymous_mb:
        lines["workers_allocated"] = [sample.allocated_mb for sample in kept]
    return {
        "samples": len(kept),
        "mb_per_hour": {name: _line(fit(hours, values)) for name, values in lines.items()},
        "floor": {
            name: [min((getattr(sample, name) for sample in half), default=0) for half in halves]
            for name in ("tasks", "threads", "descriptors")
        },
    }


def series(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Return each value over time, for whoever draws it himself."""
    values: dict[str, list[float]] = {
        name: [round(getattr(sample, name), 3) for sample in samples]
        for name in ("hours", "turns", "rss_mb", "tasks", "threads", "descriptors")
    }
    for stage in samples[-1].pss_mb if samples else ():
        values[f"{stage}_pss_mb"] = [round(sample.pss_mb.get(stage, 0.0), 2) for sample in samples]
        values[f"{stage}_allocated_mb"] = [round(sample.anonymous_mb.get(stage, 0.0), 2) for sample in samples]
    return values


def _line(line: Line) -> dict[str, Any]:
    return {"slope": round(line.slope, 4), "error": round(line.error, 4), "rises": line.rises}


def failures(grown: Mapping[str, Any], limit_mb: float) -> list[str]:
    """Return in sentences what grows: memory beyond its noise and by more than a limit per hour, or any count."""
    if grown["samples"] < _LEAST:
        return [f"{grown['samples']} samples after the warm-up are too few to judge; let it run for longer."]
    found = []
    for name, line in grown["mb_per_hour"].items():
        if line["rises"] and line["slope"] > limit_mb:
            found.append(f"{name} grows by {line['slope']} ± {line['error']} MB an hour.")
    for name, (before, after) in grown["floor"].items():
        if after > before:
            found.append(f"{after} {name} in the second half, {before} in the first.")
    return found
