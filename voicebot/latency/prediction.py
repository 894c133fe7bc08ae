"""How long a stage will take, learnt from how long it took: t = a + c*n/f + m*n, with a margin.

The terms come from a robust least-squares fit with non-negative terms over the newest observations, older ones
counting less. Errors are relative, since a stage's noise grows with its time, and beyond a tenth they count linearly
(Huber 1964, by iterated reweighting), since what is late is late by far.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicebot.latency.cost import StageCost
from voicebot.latency.margin import Margin

WINDOW: Final = 2000
"""Observations that are remembered: where noise is 0.3, c is known to a tenth after a thousand and more."""
_FORGETTING: Final = 0.9995
"""Of an observation's weight with each newer one."""
_RECENT: Final = 200
_RECENT_FORGETTING: Final = 0.995
"""The same where only the level is to be known, which may drift: the last hundred count for most."""
_LINEAR_FROM: Final = 0.1
_ROUNDS: Final = 4
_PRIOR_WEIGHT: Final = 0.3
"""Of each of the three pseudo-observations that stand for the prior: together as much as one."""
_FREQUENCIES_DIFFER: Final = 0.08
"""The standard deviation of log f from which c and m can be told apart: half at 1.0, half at 1.2 GHz have 0.09."""
_LEAST_SHARE: Final = 0.05
"""Of the median time: errors of shorter ones count as if they were as long."""
_JUDGED: Final = 50
"""Newest observations that the margin goes by."""
_SHORTEST_S: Final = 1e-6

Floats = NDArray[np.float64]


class Prediction:
    """One stage's, on one kind of core with one number of threads. Usable before anything was observed.

    Where the frequency never differs, c and m can't be told apart: they keep the proportion that they have in the
    prior, and all is c where that has no m. Where it is not known, say 1 GHz at all times.
    """

    def __init__(self, prior: StageCost) -> None:
        """`prior`: what is assumed at first; its shape, not its level, still counts a little later."""
        self._prior = prior
        self._fitted = prior
        self._margin = Margin(prior.margin)
        self._window = np.empty((0, 3))
        self.observations = 0

    @property
    def cost(self) -> StageCost:
        """What is known now; `margin` makes it the 90th percentile."""
        return replace(self._fitted, margin=self._margin.factor)

    def observe(self, units: float, ghz: float, seconds: float) -> None:
        """Take note of how long so much work took at that frequency. What can't be is left out."""
        possible = all(map(math.isfinite, (units, ghz, seconds))) and units >= 0 and ghz > 0 and seconds >= 0
        if not possible:
            return
        self.observations += 1
        missed = seconds > self.cost.careful_seconds(units, ghz)
        self._window = np.vstack((self._window[1 - WINDOW :], (units, ghz, seconds)))
        self._fitted = self._fit()
        self._margin.follow(missed=missed, ratios=[self._ratio(*one) for one in self._window[-_JUDGED:].tolist()])

    def _ratio(self, units: float, ghz: float, seconds: float) -> float:
        return max(seconds, _SHORTEST_S) / max(self._fitted.seconds(units, ghz), _SHORTEST_S)

    def _fit(self) -> StageCost:
        units, ghz, seconds = self._window.T
        differ, forgetting = tells_frequency(ghz), _FORGETTING
        if not differ:
            units, ghz, seconds = units[-_RECENT:], ghz[-_RECENT:], seconds[-_RECENT:]
            forgetting = _RECENT_FORGETTING
        prior = _at_level(self._prior, units, ghz, seconds)
        start = self._fitted if self.observations > 1 else prior
        # The prior's shape, as if it had been seen with little, usual and much work.
        usual_units, usual_ghz = max(float(np.median(units)), 1e-3), float(np.median(ghz))
        seen = [(share * usual_units, usual_ghz) for share in (0.0, 1.0, 2.0)]
        weights = np.concatenate((np.full(len(seen), _PRIOR_WEIGHT), forgetting ** np.arange(len(units))[::-1]))
        units = np.concatenate(([n for n, _ in seen], units))
        ghz = np.concatenate(([f for _, f in seen], ghz))
        seconds = np.concatenate(([prior.seconds(*one) for one in seen], seconds))
        expected_s = start.base_s + units * (start.gcycles_per_unit / ghz + start.memory_s_per_unit)
        if differ:
            columns = np.stack((np.ones_like(units), units / ghz, units), axis=1)
            return StageCost(*_robust_fit(columns, seconds, weights, expected_s))
        cycles, memory = prior.gcycles_per_unit, prior.memory_s_per_unit
        if cycles + memory == 0:
            cycles = 1.0
        columns = np.stack((np.ones_like(units), units * (cycles / ghz + memory)), axis=1)
        base_s, scale = _robust_fit(columns, seconds, weights, expected_s)
        return StageCost(base_s, scale * cycles, scale * memory)


def tells_frequency(ghz: Floats) -> bool:
    """Return whether frequencies differ enough for c and m to be told apart."""
    return float(np.std(np.log(ghz))) > _FREQUENCIES_DIFFER


def _at_level(prior: StageCost, units: Floats, ghz: Floats, seconds: Floats) -> StageCost:
    """Return the prior slower or faster as a whole, as the observations are."""
    assumed = prior.base_s + units * (prior.gcycles_per_unit / ghz + prior.memory_s_per_unit)
    level = float(np.median(seconds / np.maximum(assumed, _SHORTEST_S)))
    return StageCost(prior.base_s * level, prior.gcycles_per_unit * level, prior.memory_s_per_unit * level)


def _robust_fit(columns: Floats, seconds: Floats, weights: Floats, expected_s: Floats) -> list[float]:
    """Return the non-negative coefficients of the columns.

    `expected_s`: what is expected so far. From there a few rounds do; from nothing c is some percent low after four.
    """
    least_s = max(_LEAST_SHARE * float(np.median(seconds)), _SHORTEST_S)
    found = np.zeros(columns.shape[1])
    for _ in range(_ROUNDS):
        # Relative to what is expected: relative to what was measured, short times would count for too much.
        scale_s = np.maximum(expected_s, least_s)
        errors = np.abs(seconds - expected_s) / scale_s
        rows = weights * _LINEAR_FROM / np.maximum(errors, _LINEAR_FROM) / scale_s**2
        found = _non_negative((columns.T * rows) @ columns, (columns.T * rows) @ seconds)
        expected_s = columns @ found
    return [float(one) for one in found]


def _non_negative(gram: Floats, moment: Floats) -> Floats:
    """Return the x >= 0 with the least x'Gx - 2x'm: the best of those whose other terms are 0, few as they are."""
    unit = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    scaled = gram / np.outer(unit, unit) + 1e-9 * np.eye(len(unit))
    wanted = moment / unit
    best, gain = np.zeros(len(unit)), 0.0
    for size in range(len(unit), 0, -1):
        for kept in map(list, combinations(range(len(unit)), size)):
            solved = np.linalg.solve(scaled[np.ix_(kept, kept)], wanted[kept])
            if (solved >= 0).all() and solved @ wanted[kept] > gain:
                gain = float(solved @ wanted[kept])
                best = np.zeros(len(unit))
                best[kept] = solved
        if gain > 0 and size == len(unit):
            break  # nothing is better than the best of all
    return best / unit
