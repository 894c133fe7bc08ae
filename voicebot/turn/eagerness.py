"""How soon work on a reply begins: as soon as too much of it is thrown away, a longer silence is waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_KEPT: Final = 0.8
"""Of the turns before, so that about the last five count."""
_STEP_MS: Final = 32
"""A chunk of the voice detector."""


@dataclass(frozen=True, slots=True)
class EagernessRules:
    """The constants of speculation; the pipeline file gives each with its reason."""

    soonest_ms: int
    latest_ms: int
    wasted_share: float


class Eagerness:
    """Follows one session."""

    def __init__(self, rules: EagernessRules) -> None:
        self._rules = rules
        self._cpu_s = 0.0
        self._wasted_s = 0.0
        self._before = (0.0, 0.0)
        self.soft_end_ms = rules.soonest_ms

    def turn_ended(self, cpu_s: float, wasted_cpu_s: float) -> None:
        """Take what the stages have spent in all until now, and how much of it for nothing."""
        self._cpu_s = _KEPT * self._cpu_s + cpu_s - self._before[0]
        self._wasted_s = _KEPT * self._wasted_s + wasted_cpu_s - self._before[1]
        self._before = (cpu_s, wasted_cpu_s)
        share = self._wasted_s / self._cpu_s if self._cpu_s else 0.0
        if share > self._rules.wasted_share:
            self.soft_end_ms = min(self._rules.latest_ms, self.soft_end_ms + _STEP_MS)
        elif share < self._rules.wasted_share / 2:
            self.soft_end_ms = max(self._rules.soonest_ms, self.soft_end_ms - _STEP_MS)
