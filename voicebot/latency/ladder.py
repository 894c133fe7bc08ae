"""How far down from full quality a stage goes so that its deadline is met. Pure.

A ladder's rungs are numbered from full quality, 0, down. It is left downwards at once, when the prediction says so,
and climbed a rung at a time, when that has looked safe for a while: a rung is never chosen by one lucky turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LadderRules:
    """When a better rung is taken again."""

    slack: float
    """The share of the time left that it would have left over, by careful prediction."""
    calm_turns: int
    """In so many choices on end."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one stands on a ladder."""

    rung: int = 0
    calm: int = 0
    """Choices on end in which the rung above would have been safe."""


def choose(
    careful_s: Sequence[float], left_s: float, place: Place, rules: LadderRules, *, pressure: float = 0.0
) -> Place:
    """Return where to stand for the work at hand.

    `careful_s`: what it would take on each rung by careful prediction, full quality first, none more than the one
    above it. `left_s`: until it has to be done. `pressure`: 0 to 1, how much else speaks for less work, such as heat;
    at 1 only the last rung is left. Where no rung is fast enough it is the fastest, of equals the best.
    """
    highest = min(int(pressure * len(careful_s)), len(careful_s) - 1)
    allowed = range(highest, len(careful_s))
    in_time = [rung for rung in allowed if careful_s[rung] <= left_s]
    needed = in_time[0] if in_time else min(allowed, key=lambda rung: careful_s[rung])
    if needed >= place.rung:
        return Place(needed)
    above = place.rung - 1
    if careful_s[above] > (1 - rules.slack) * left_s:
        return Place(place.rung)
    calm = place.calm + 1
    return Place(above) if calm >= rules.calm_turns else Place(place.rung, calm)
