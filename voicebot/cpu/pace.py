"""How fast is fast enough. Pure.

The speeds of unlike clusters are compared as levels: a level is a share of the top frequency, 1 is each one's top.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from voicebot.cpu.box import Cluster
from voicebot.latency.cost import StageCost

KHZ_PER_GHZ: Final = 1_000_000
Speeds = tuple[float, ...]
"""The frequencies of a cluster, in GHz, at some levels."""
AT_ONCE_S: Final = -math.inf
"""A deadline that nothing meets."""


def levels(clusters: Iterable[Cluster]) -> tuple[float, ...]:
    """Return the levels of all operating points, ascending, the last 1; only that where no frequency is known."""
    return tuple(sorted({point.khz / cluster.highest_khz for cluster in clusters for point in cluster.points} | {1.0}))


def khz_at(cluster: Cluster, level: float) -> int:
    """Return the frequency of the operating point that is not below a level."""
    return cluster.at_least(round(level * cluster.highest_khz))


def speeds(cluster: Cluster, levels: Iterable[float]) -> Speeds:
    """Return how fast a cluster is at each level."""
    return tuple(khz_at(cluster, level) / KHZ_PER_GHZ for level in levels)


@dataclass(frozen=True, slots=True)
class Curve:
    """How long some work takes, carefully predicted, against the level: never longer at a higher one."""

    levels: tuple[float, ...]
    seconds: tuple[float, ...]

    @classmethod
    def of(cls, levels: tuple[float, ...], units: float, costs: Sequence[tuple[Speeds, StageCost]]) -> Curve:
        """Return the curve of work that several clusters do together, each with its speeds and its cost."""
        each = ([cost.careful_seconds(units, ghz) for ghz in speeds] for speeds, cost in costs)
        return cls(levels, tuple(max(seconds) for seconds in zip(*each, strict=True)))  # the slowest is waited for

    def __add__(self, other: Curve) -> Curve:
        """Return the curve of one work after another."""
        return Curve(self.levels, tuple(a + b for a, b in zip(self.seconds, other.seconds, strict=True)))

    @property
    def top_s(self) -> float:
        """How long it takes at least."""
        return self.seconds[-1]

    def at_most(self, level: float) -> float:
        """Return how long it takes when no level above this one is allowed."""
        return next(
            (s for at, s in zip(reversed(self.levels), reversed(self.seconds), strict=True) if at <= level),
            self.seconds[0],
        )

    def level_for(self, within_s: float, loss: float = 0.0) -> float:
        """Return the lowest level that meets the deadline, or is at most so much slower than the top: 0.05 is 5 %.

        With AT_ONCE_S it is the knee of the curve: beyond it speed costs energy and buys no more than the loss. Work
        that computes has its knee close to 1, work that waits for memory a low one. A deadline that no level meets
        asks for no more than the knee, so a tighter deadline never gives a lower level than a looser one.
        """
        enough_s = max(within_s, (1 + loss) * self.top_s)
        return next(level for level, seconds in zip(self.levels, self.seconds, strict=True) if seconds <= enough_s)


def nothing(levels: tuple[float, ...]) -> Curve:
    """Return the curve of no work."""
    return Curve(levels, (0.0,) * len(levels))


def power(cluster: Cluster, khz: int, static_share: float) -> float | None:
    """Return what one busy core takes, in a unit that all clusters of the box share; None where no voltage is known.

    P = C V^2 f + leakage, with C in proportion to the capacity (on RK3588 1.93 between its two kinds of core, 1.82 by
    its device tree), and the leakage in proportion to V^2 (`static_share`: to the dynamic part, at the top).
    """
    volts = next((point.volts for point in cluster.points if point.khz == khz), None)
    return None if volts is None else cluster.capacity * volts**2 * (khz + static_share * cluster.highest_khz)


def efficient_khz(cluster: Cluster, static_share: float) -> int:
    """Return the frequency at which a cycle takes the least energy: below it, being slower saves nothing.

    Racing to idle pays below this point, pacing above it (Kim and Hoffmann 2014, "Racing and Pacing to Idle").
    The lowest one where voltages are not known.
    """
    powers = [(power(cluster, point.khz, static_share), point.khz) for point in cluster.points]
    return min(((watts / khz, khz) for watts, khz in powers if watts is not None), default=(0.0, cluster.lowest_khz))[1]
