"""By what a predicted time is multiplied so that nine of ten requests take no longer.

The quantile tracker of Angelopoulos et al. 2023 (arXiv 2307.16895), on the logarithm of measured to predicted times:
each miss raises the margin nine times as much as each hit lowers it, so that the share of misses is kept even where
they cluster or the box drifts. Over any hundred observations the misses differ from ten by as many as the margin has
changed by steps. As in the paper a step is a share of the recent spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

QUANTILE: Final = 0.9
_STEP_SHARE: Final = 0.5
"""Of the spread from the 10th to the 90th percentile. With 0.3 three of 40 runs in which a fifth of all requests was
disturbed, several on end, missed by less than 85 or more than 95 %; with 0.5 none of 60."""
_LONGEST_STEP: Final = 0.25
_FIRST: Final = 10
"""Fewer observations tell no spread, and steps are long: the first margin is only assumed."""


class Margin:
    """That of one prediction."""

    def __init__(self, first: float) -> None:
        self._log = math.log(first)

    @property
    def factor(self) -> float:
        """The 90th percentile of measured to predicted times."""
        return math.exp(self._log)

    def follow(self, *, missed: bool, ratios: Sequence[float]) -> None:
        """Take note of whether the newest observation was above the percentile.

        `ratios`: measured to predicted times of the latest observations, as they are predicted by now.
        """
        ordered = sorted(ratios)
        if len(ordered) < _FIRST:
            self._move(_LONGEST_STEP, missed=missed)
            return
        tenth = len(ordered) // 10
        spread = math.log(ordered[-1 - tenth] / ordered[tenth])
        step = min(_STEP_SHARE * spread, _LONGEST_STEP)
        self._move(step, missed=missed)
        self._log = min(self._log, math.log(ordered[-1]) + step)  # a prediction that has caught up needs no more

    def _move(self, step: float, *, missed: bool) -> None:
        self._log += step * (QUANTILE if missed else QUANTILE - 1)
