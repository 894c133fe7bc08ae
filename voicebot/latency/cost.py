"""What a stage's work costs: t = base + cycles * n / f + memory * n (DESIGN: a + c*n/f + m*n). Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageCost:
    """For one stage on one kind of core with one number of threads.

    n is the work in the stage's unit (seconds of speech, tokens, phonemes), f the frequency in GHz. `gcycles_per_unit`
    is therefore seconds at 1 GHz, all threads together working; `memory_s_per_unit` is what no frequency shortens.
    """

    base_s: float
    gcycles_per_unit: float
    memory_s_per_unit: float
    margin: float = 1.0
    """The 90th percentile of measured to predicted times."""

    def seconds(self, units: float, ghz: float) -> float:
        """Return the time that so much work takes at a frequency, as expected."""
        return self.base_s + units * (self.gcycles_per_unit / ghz + self.memory_s_per_unit)

    def careful_seconds(self, units: float, ghz: float) -> float:
        """Return the time that nine of ten do not exceed."""
        return self.margin * self.seconds(units, ghz)

    def ghz_for(self, units: float, within_s: float) -> float:
        """Return the frequency at which the work is done carefully within the time; infinity where none is enough."""
        left_s = within_s / self.margin - self.base_s - units * self.memory_s_per_unit
        if left_s <= 0:
            return math.inf
        return units * self.gcycles_per_unit / left_s
