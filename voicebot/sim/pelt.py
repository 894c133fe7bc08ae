"""How busy the kernel believes a core to be: per-entity load tracking, in closed form.

Utilisation decays by half in 32 ms. While a core of capacity c runs at the share q of its top frequency, time counts
c q fold (Linux, kernel/sched/pelt.h: frequency and capacity invariance), so that for a core that runs a share s of the
time  u' = k (s c q (1 - u) - (1 - s) u),  an exponential with rate k (s c q + 1 - s). All are shares of the largest
core's capacity at its top frequency.
"""

from __future__ import annotations

import math
from typing import Final

HALF_LIFE_S: Final = 0.032
_DECAY_PER_S: Final = math.log(2) / HALF_LIFE_S


class Utilisation:
    """Of one core."""

    def __init__(self) -> None:
        self.value = 0.0
        """As it was when what runs last changed."""
        self._since_s = 0.0
        self._goal = 0.0
        self._rate = _DECAY_PER_S

    def at(self, now_s: float) -> float:
        """Return it at a time."""
        if now_s == self._since_s or self.value == self._goal:
            return self.value
        return self._goal + (self.value - self._goal) * math.exp(-self._rate * (now_s - self._since_s))

    def run(self, now_s: float, busy: float, strength: float) -> None:
        """Let the core run a share of the time from now on, with c q of the largest core's speed."""
        self.value = self.at(now_s)
        self._since_s = now_s
        growing = busy * strength
        weight = growing + 1 - busy
        self._goal = growing / weight
        self._rate = _DECAY_PER_S * weight

    def reaches_s(self, level: float) -> float:
        """Return when it is at a level, infinity where it never will be."""
        if (self.value - level) * (self._goal - level) >= 0:
            return math.inf
        return self._since_s + math.log((self.value - self._goal) / (level - self._goal)) / self._rate
