"""Numbers that don't flap. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """A number that goes up at once, and down when nothing as high was asked for a while: in a hold time, once."""

    value: float = 0.0
    since_s: float = -math.inf
    """When as much was last asked for."""

    def then(self, value: float, now_s: float, hold_s: float) -> Held:
        """Return what holds next. A clock that went back ends the hold."""
        if value < self.value and 0 <= now_s - self.since_s < hold_s:
            return self
        return Held(value, now_s)


def settled(before: float | None, reading: float, band: float) -> float:
    """Return a reading without its noise: it follows up at once, and down with a distance of `band`."""
    return reading if before is None else min(max(before, reading), reading + band)
