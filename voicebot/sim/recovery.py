"""Whether what the stages cost is found again from how long they took: the daemon's estimator on simulated requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from voicebot.cpu.demand import Stage
from voicebot.latency.cost import StageCost
from voicebot.latency.costs import PRIORS
from voicebot.latency.prediction import WINDOW, Prediction, tells_frequency
from voicebot.sim.chip import Chip
from voicebot.sim.compare import fastest
from voicebot.sim.costs import Models, stage_cost, stage_work, step_work
from voicebot.sim.governors import Fixed
from voicebot.sim.observed import Observed
from voicebot.sim.run import Outcome, Regime

_COUNTED_TOGETHER: Final = 11
"""Tokens: so many of a reply the daemon times at once."""
_NEARLY_S: Final = 1e-9
_ALL_CYCLES: Final = StageCost(0.0, 1.0, 0.0)
"""What is assumed of a stage of which the daemon assumes nothing."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """One stage on one kind of core with one number of threads."""

    stage: Stage
    core: str
    threads: int
    requests: int
    hindered: int
    """Requests that others took cores or memory from; they are in no figure here."""
    ghz: tuple[float, float]
    """The lowest and the highest frequency."""
    identifiable: bool
    """Whether the frequencies differ enough to tell cycles from waiting for memory."""
    true: StageCost
    fitted: StageCost

    @property
    def error(self) -> float:
        """Of the cycles per unit, as a share: 0.1 is a tenth too many."""
        return self.fitted.gcycles_per_unit / self.true.gcycles_per_unit - 1


def fixed_points(chip: Chip) -> list[Regime]:
    """Return a regime for each operating point of the fastest cluster: everybody at home, one frequency all the time.

    Other clusters have the next frequency above, or their highest.
    """

    def fixed(khz: int) -> Regime:
        return Regime(f"fixed:{khz}", partial(Fixed, lambda _cluster: khz), seated=True)

    return [fixed(point.khz) for point in fastest(chip).points]


def recover(chip: Chip, models: Models, outcomes: Sequence[Outcome]) -> list[Recovered]:
    """Return what the daemon would have learnt from these runs of a box, had they been one with changing frequencies.

    It learns from all requests that nobody hindered, in the order of their times.
    """
    found: dict[tuple[Stage, str, int], list[Observed]] = defaultdict(list)
    for outcome in outcomes:
        for each in _as_timed(outcome.observed):
            found[each.stage, each.core, each.threads].append(each)
    return [
        _recovered(chip, models, sorted(found[key], key=lambda each: each.begin_s))
        for key in sorted(found)
        if any(not each.hindered for each in found[key])
    ]


def _as_timed(observed: Iterable[Observed]) -> Iterator[Observed]:
    """Yield the requests, with the steps of a reply that follow on each other taken together as the daemon does."""
    together: Observed | None = None
    for each in observed:
        if each.stage != "slm":
            yield each
        elif together is None:
            together = each
        elif _continues(together, each):
            seconds = together.seconds + each.seconds
            ghz = (together.ghz * together.seconds + each.ghz * each.seconds) / seconds
            together = replace(together, units=together.units + each.units, ghz=ghz, seconds=seconds)
        else:
            yield together
            together = each
    if together is not None:
        yield together


def _continues(begun: Observed, step: Observed) -> bool:
    follows = abs(begun.begin_s + begun.seconds - step.begin_s) < _NEARLY_S and begun.units < _COUNTED_TOGETHER
    return follows and (begun.core, begun.hindered) == (step.core, step.hindered)


def _recovered(chip: Chip, models: Models, observed: Sequence[Observed]) -> Recovered:
    alone = [each for each in observed if not each.hindered]
    remembered = alone[-WINDOW:]
    first, ghz = alone[0], [each.ghz for each in remembered]
    prediction = Prediction(PRIORS.get(first.stage, _ALL_CYCLES))
    for each in remembered:
        prediction.observe(each.units, each.ghz, each.seconds)
    return Recovered(
        first.stage,
        first.core,
        first.threads,
        len(alone),
        len(observed) - len(alone),
        (min(ghz), max(ghz)),
        tells_frequency(np.array(ghz)),
        _true_cost(chip, models, remembered),
        prediction.cost,
    )


def _true_cost(chip: Chip, models: Models, observed: Sequence[Observed]) -> StageCost:
    """Return what such requests take without noise: of reading the mean, since a prompt's first token takes less."""
    first = observed[0]
    cost = stage_cost(chip, models, first.stage, first.core, first.threads)
    if first.stage != "slm_read":
        return cost
    cycles = sum(step_work(chip, models, int(each.units), 0.0).cycles for each in observed)
    marginal = sum(stage_work(chip, models, "slm_read", each.units).cycles for each in observed)
    return replace(cost, gcycles_per_unit=cost.gcycles_per_unit * cycles / marginal)
