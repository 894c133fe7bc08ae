"""What the work of every stage costs on this box, and what each request to a stage took."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from voicebot.clock import Watch
from voicebot.latency.cost import StageCost
from voicebot.latency.fits import FitKey
from voicebot.latency.misses import Cause, Spent
from voicebot.latency.prediction import Prediction

PRIORS: Final[Mapping[str, StageCost]] = {
    "asr": StageCost(0.08, 0.005, 0.0, 1.3),
    "slm_read": StageCost(0.07, 0.002, 0.0, 1.3),
    "slm": StageCost(0.0, 0.01, 0.0, 1.3),
    "tts_first": StageCost(0.05, 0.0005, 0.0, 1.3),
    "tts": StageCost(0.05, 0.003, 0.0, 1.3),
}
"""Seconds of the default models on two cores: recognition per second of speech; the first token of a reply per token
of what was asked, and each further token; the first audio of a first clause and a whole clause per letter. Only the
first few requests on a box are predicted by them."""
_STOPPING_S: Final = 0.1
"""An engine looks at least every 60 ms whether its work was cancelled."""
_COLD_S: Final = 120.0
_NOT_THE_COST: Final = {Cause.QUEUE, Cause.SECOND_LOOK}
"""What took longer for these says nothing of what the work itself costs."""


def unknown_ghz(stage: str) -> float:
    """Return the frequency that stands for one that nobody knows."""
    del stage
    return 1.0


class Costs:
    """Those of one box, shared by all its sessions."""

    def __init__(
        self,
        clock: Watch,
        keys: Mapping[str, FitKey] | None = None,
        known: Mapping[FitKey, StageCost] | None = None,
        ghz: Callable[[str], float] = unknown_ghz,
    ) -> None:
        """`keys`: what each stage's cost is kept under. `known`: what was learnt before. `ghz`: a stage's, now."""
        self._clock = clock
        self._keys = keys or {}
        self._ghz = ghz
        self._predictions = {stage: Prediction(_at(prior, ghz(stage))) for stage, prior in PRIORS.items()}
        for stage, key in self._keys.items():
            if known is not None and key in known:
                self._predictions[stage] = Prediction(known[key])
        self._under_way: Counter[str] = Counter()
        self._ended_s: dict[str, float] = {}
        self._cancelled_s: dict[str, float] = {}

    def cost(self, stage: str) -> StageCost:
        """Return what is known of a stage, one of `PRIORS`."""
        return self._predictions[stage].cost

    def careful_s(self, stage: str, units: float) -> float:
        """Return the time that nine of ten such requests do not exceed at the stage's frequency."""
        return self.cost(stage).careful_seconds(units, self._ghz(stage))

    def under_way(self, engine: str) -> int:
        """Return how many requests an engine ("asr", "slm", "tts") has to answer."""
        return self._under_way[engine]

    @property
    def learnt(self) -> dict[FitKey, StageCost]:
        """What was observed at all, by the keys."""
        return {key: self.cost(stage) for stage, key in self._keys.items() if self._predictions[stage].observations}

    @contextmanager
    def asking(self, engine: str) -> Iterator[Cause | None]:
        """Count a request inside the block; gives what is likely to delay it. Leaving by an exception is a cancel."""
        cause = self._what_delays(engine)
        self._under_way[engine] += 1
        try:
            yield cause
        except BaseException:
            self._cancelled_s[engine] = self._clock.now_s()
            raise
        finally:
            self._under_way[engine] -= 1
            self._ended_s[engine] = self._clock.now_s()

    def took(self, stage: str, units: float, seconds: float, cause: Cause | None = None) -> Spent:
        """Take note of how long a stage took for so many units; returns it beside what was predicted."""
        ghz, cost = self._ghz(stage), self.cost(stage)
        spent = Spent(stage, units, cost.seconds(units, ghz), cost.careful_seconds(units, ghz), seconds, cause)
        if cause not in _NOT_THE_COST:
            self._predictions[stage].observe(units, ghz, seconds)
        return spent

    def _what_delays(self, engine: str) -> Cause | None:
        now_s = self._clock.now_s()
        if self._under_way[engine]:
            return Cause.QUEUE
        if now_s - self._cancelled_s.get(engine, -math.inf) < _STOPPING_S:
            return Cause.CANCELLED
        return Cause.COLD if now_s - self._ended_s.get(engine, now_s) > _COLD_S else None


def _at(prior: StageCost, ghz: float) -> StageCost:
    """Return a cost that was measured at an unknown frequency as if that had been this one."""
    return replace(prior, gcycles_per_unit=prior.gcycles_per_unit * ghz)
