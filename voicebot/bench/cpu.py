"""What each stage takes on one core, on two and so on, and at several frequencies: t = a + c*n/f + m*n, fitted.

The workers have as many cores and threads as are asked for, and nothing else runs. What is fitted is what a daemon
with as many threads can start from.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from voicebot.audio import Pcm
from voicebot.bench.speeds import Speeds
from voicebot.bench.stage_load import TURN, StageLoad, Timed, TimedCosts
from voicebot.clock import LoopClock
from voicebot.config.load import Settings
from voicebot.daemon import cost_keys, workers
from voicebot.errors import EngineError
from voicebot.events import ignore
from voicebot.latency.cost import StageCost
from voicebot.latency.costs import PRIORS
from voicebot.latency.fits import FitKey
from voicebot.latency.percentiles import percentile
from voicebot.models.store import Store
from voicebot.workers.threads import TURN_THREADS, Threads

STAGES: Final = ("asr", "slm", "tts", TURN)
Step = Callable[[str], None]
"""Is told what is measured next."""


@dataclass(frozen=True, slots=True)
class StageTimes:
    """One stage on so many cores."""

    stage: str
    cores: int
    threads: int
    requests: int
    ghz: tuple[float, ...]
    """The frequencies, the highest first; 1 alone where they can't be set."""
    p50_ms: float
    """Over work of all sizes, at the highest."""
    cost: StageCost | None
    """None for the look at the end of a turn: all are equally long, and the daemon predicts none."""
    error: float | None
    """Of the predicted times of half of the requests at most, as a share of what they took."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All stages on all numbers of cores."""

    rows: Sequence[StageTimes]
    fits: Mapping[FitKey, StageCost]
    """As the daemon keeps them; without those of engines that are scripted."""
    in_cycles: bool
    """Whether frequencies were set; else a fit's cycles are those of an unknown frequency that is called 1 GHz."""

    def speed_up(self, row: StageTimes) -> float:
        """Return how much faster a stage is than on the fewest cores that were measured."""
        alone = min((each for each in self.rows if each.stage == row.stage), key=lambda each: each.cores)
        return alone.p50_ms / row.p50_ms


async def measure_cpu(
    settings: Settings,
    store: Store,
    clips: Sequence[Pcm],
    counts: Sequence[int],
    rounds: int,
    speeds: Speeds,
    step: Step,
) -> Measured:
    """Return what the stages take on these numbers of cores. Whoever made `speeds` has to restore them.

    Raises UsageError for stages of another machine, ModelError, or EngineError when an engine fails or a frequency does
    not hold.
    """
    settings.pipeline.need_own_stages()
    rows: list[StageTimes] = []
    fits: dict[FitKey, StageCost] = {}
    for count in counts:
        with _confined(speeds.cores[:count]):
            costs = await _load(settings, store, clips, count, rounds, speeds, step)
        rows += _rows(costs, count)
        fits |= costs.learnt
    real = {section.model for section in settings.pipeline.heavy_stages.values() if section.engine != "scripted"}
    return Measured(rows, {key: cost for key, cost in fits.items() if key.model in real}, speeds.settable)


async def _load(
    settings: Settings, store: Store, clips: Sequence[Pcm], count: int, rounds: int, speeds: Speeds, step: Step
) -> TimedCosts:
    """Let the stages work on so many cores, at every frequency; return what they cost."""
    threads = Threads(asr=count, slm=count, slm_prefill=count, tts=count)
    keys = await asyncio.to_thread(cost_keys, settings.pipeline, threads, in_cycles=speeds.settable)
    clock, on = LoopClock(), f"{count} core{'s' * (count > 1)}"
    costs = TimedCosts(clock, keys, ghz=lambda: speeds.ghz)
    step(f"{on}: loading")
    async with workers(_with_threads(settings, count), store, clock, ignore, STAGES) as running:
        load = StageLoad(running, settings.pipeline, clips, clock)
        await load.round(TimedCosts(clock))  # whose times nobody wants
        for point in await asyncio.to_thread(speeds.points, speeds.cores[:count]):
            if not await asyncio.to_thread(speeds.set, point):
                raise EngineError("a frequency that was set does not hold; is a daemon running, or the box too hot?")
            for number in range(rounds):
                step(f"{on}{f' at {speeds.ghz:g} GHz' * bool(point)}: round {number + 1} of {rounds}")
                await load.round(costs)
    return costs


@contextmanager
def _confined(cpus: Collection[int]) -> Iterator[None]:
    """Let this thread, and the processes that it starts, run on some processors only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _with_threads(settings: Settings, count: int) -> Settings:
    names = ("asr_threads", "slm_threads", "slm_prefill_threads", "tts_threads")
    cores = settings.box.cores.model_copy(update=dict.fromkeys(names, count))
    return replace(settings, box=settings.box.model_copy(update={"cores": cores}))


def _rows(costs: TimedCosts, count: int) -> Iterator[StageTimes]:
    for stage in (*PRIORS, TURN):
        timed = [each for each in costs.timed if each.stage == stage]
        if not timed:
            continue
        cost = costs.cost(stage) if stage in PRIORS else None
        ghz = tuple(sorted({each.ghz for each in timed}, reverse=True))
        fastest_s = [each.seconds for each in timed if each.ghz == ghz[0]]
        yield StageTimes(
            stage,
            count,
            TURN_THREADS if stage == TURN else count,
            len(timed),
            ghz,
            1000 * (percentile(fastest_s, 0.5) or 0.0),
            cost,
            None if cost is None else percentile([_error(cost, each) for each in timed], 0.5),
        )


def _error(cost: StageCost, timed: Timed) -> float:
    return abs(cost.seconds(timed.units, timed.ghz) / timed.seconds - 1)
