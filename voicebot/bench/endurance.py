"""A conversation that goes on for hours, and what the daemon and its workers hold meanwhile.

With real engines it takes place in real time; scripted ones hold a day's in virtual time within minutes. Nothing of
the conversation is kept here: a bench that remembers every turn grows by itself.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import psutil

from voicebot.audio import FRAME_SAMPLES, Frame, ms_from_samples, samples_from_ms
from voicebot.audio_io.replay import ReplayPort
from voicebot.bench.endless_talk import ForgetfulModel, Talk, Words, hummed, reply_to, words_for
from voicebot.bench.growth import Sample, growth
from voicebot.clock import Clock, LoopClock, run_virtual
from voicebot.config.load import Settings
from voicebot.daemon import cost_keys, open_stages, scripted_stages
from voicebot.engines.scripted import ScriptedRecognizer
from voicebot.events import Event, Interrupted, Resumed, TurnDiscarded, TurnEnded, WorkerChanged
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.service import Service
from voicebot.interfaces.watchers import Watchers
from voicebot.latency.costs import Costs, unknown_ghz
from voicebot.models.store import Store
from voicebot.pipeline.budgeted import budgeted
from voicebot.pipeline.stages import Stages
from voicebot.workers.threads import Threads

_BACKLOG: Final = samples_from_ms(1000)
"""As much of the microphone waits where there is one; what is taken later is lost."""
_LEAD: Final = samples_from_ms(60)
"""As far ahead a speaker is fed; a frame that is taken later than that is a gap where something is played."""
SAMPLES: Final = 288
"""In the whole run, if there is time: with 24 h, one every five minutes."""
_VISIT_EVERY: Final = 25
"""So often somebody else says something, in a conversation of his own that ends with it."""


@dataclass(slots=True)
class Losses:
    """What a sound card would have lost."""

    dropped_frames: int = 0
    late_frames: int = 0
    latest_ms: float = 0.0


class StrictPort(ReplayPort):
    """Counts what a sound card would have lost, where its own frames wait for as long as nobody takes them."""

    def __init__(self, clock: Clock, losses: Losses) -> None:
        super().__init__(clock)
        self._losses = losses
        self._dropped = 0

    @property
    def dropped_frames(self) -> int:
        """Frames that were taken a second too late."""
        return self._dropped

    async def next_frame(self) -> Frame | None:
        """Return the next frame."""
        frame = await super().next_frame()
        if frame is not None:
            late = self.now_sample() - frame.start_sample - FRAME_SAMPLES
            self._losses.latest_ms = max(self._losses.latest_ms, ms_from_samples(late))
            self._losses.late_frames += late > _LEAD
            if late > _BACKLOG:
                self._dropped += 1
                self._losses.dropped_frames += 1
        return frame


@dataclass(slots=True)
class Counts:
    """What happened, in numbers only."""

    events: Counter[str] = field(default_factory=Counter)
    workers: dict[str, int] = field(default_factory=dict)
    """Process of each stage."""
    error: str = ""
    """The latest."""

    def observe(self, event: Event) -> None:
        """Count it."""
        match event:
            case TurnEnded():
                self.events["turns"] += 1
                self.events[f"from_{event.source}"] += 1
                self.events["interrupted"] += event.interrupted
                if event.error is not None:
                    self.events["failed"] += 1
                    self.error = event.error
            case Interrupted() | Resumed() | TurnDiscarded():
                self.events[type(event).__name__.lower()] += 1
            case WorkerChanged(state="ready") if event.pid is not None:
                self.workers[event.stage] = event.pid
            case WorkerChanged(state="died"):
                self.events["deaths"] += 1
                self.workers.pop(event.stage, None)
            case _:
                pass


class Endurance:
    """One run."""

    def __init__(self, hours: float, clock: Clock, samples: int = SAMPLES) -> None:
        self.samples: list[Sample] = []
        self.losses = Losses()
        self.counts = Counts()
        self._hours = hours
        self._sample_every_h = hours / samples
        self._clock = clock

    async def run(self, settings: Settings, stages: Stages, watchers: Watchers, words: Words) -> None:
        """Talk to the stages for the hours."""
        watchers.watch(self.counts.observe)
        with tempfile.TemporaryDirectory() as folder:
            kept = KeptState(Path(folder) / "switched.json")
            service = Service(stages, settings.pipeline, settings.box.sessions, watchers, kept)
            port = StrictPort(self._clock, self.losses)
            async with service.open_session("local", port) as session:
                began_s, rounds = self._clock.now_s(), 0
                talk = Talk(service, session, port, words, self._clock)
                while (hours := (self._clock.now_s() - began_s) / 3600) < self._hours:
                    if hours >= len(self.samples) * self._sample_every_h:
                        self.samples.append(self._sample(hours))
                    rounds += 1
                    if rounds % _VISIT_EVERY == 0:
                        await self._visit(service, words)
                    else:
                        await talk.next_round()
                self.samples.append(self._sample(hours))

    async def _visit(self, service: Service, words: Words) -> None:
        port = StrictPort(self._clock, self.losses)
        async with service.open_session("visitor", port) as session:
            await Talk(service, session, port, words, self._clock).question()

    def _sample(self, hours: float) -> Sample:
        gc.collect()  # or where in its cycle the collector is would be noise
        own = psutil.Process()
        everyone = [own, *own.children(recursive=True)]
        held = {stage: _held_mb(pid) for stage, pid in self.counts.workers.items()}
        return Sample(
            hours=hours,
            turns=self.counts.events["turns"],
            rss_mb=own.memory_info().rss / 2**20,
            pss_mb={stage: pss_mb for stage, (pss_mb, _) in held.items()},
            anonymous_mb={stage: anonymous_mb for stage, (_, anonymous_mb) in held.items()},
            tasks=len(asyncio.all_tasks()),
            threads=sum(process.num_threads() for process in everyone),
            descriptors=sum(process.num_fds() for process in everyone),
        )

    def result(self) -> dict[str, Any]:
        """Return what happened, and what grew."""
        first, last = self.samples[0], self.samples[-1]
        return {
            "hours": round(last.hours, 3),
            "events": dict(self.counts.events),
            "error": self.counts.error,
            "lost": {
                "dropped_frames": self.losses.dropped_frames,
                "late_frames": self.losses.late_frames,
                "latest_ms": round(self.losses.latest_ms),
            },
            "daemon_rss_mb": [round(first.rss_mb, 1), round(last.rss_mb, 1)],
            "workers_pss_mb": _first_and_last(first.pss_mb, last.pss_mb),
            "workers_allocated_mb": _first_and_last(first.anonymous_mb, last.anonymous_mb),
            **growth(self.samples),
        }


def endure_virtually(settings: Settings, hours: float, seed: int, samples: int = SAMPLES) -> tuple[Endurance, float]:
    """Hold a conversation of scripted engines in virtual time; return it and how many seconds it took."""
    began_s = time.perf_counter()

    async def converse() -> Endurance:
        clock = LoopClock()
        run = Endurance(hours, clock, samples)
        scripted = scripted_stages(clock, ScriptedRecognizer(words_for), ForgetfulModel(reply_to))
        costs = Costs(clock, cost_keys(settings.pipeline, Threads(1, 1, 1, 1), in_cycles=False), {}, unknown_ghz)
        stages = budgeted(scripted, costs, settings.pipeline.ladder, clock)
        words = hummed(Random(seed), (2.0, 18.0))  # noqa: S311 - what is said, and no secret
        await run.run(settings, stages, Watchers(), words)
        return run

    run = run_virtual(converse())
    return run, time.perf_counter() - began_s


async def endure(settings: Settings, store: Store, words: Words, hours: float) -> Endurance:
    """Hold a conversation with the pipeline's own engines in real time. Raises ModelError or EngineError."""
    clock, watchers = LoopClock(), Watchers()
    run = Endurance(hours, clock)
    async with open_stages(settings, store, clock, watchers) as stages:
        await run.run(settings, stages, watchers, words)
    return run


def _first_and_last(first: Mapping[str, float], last: Mapping[str, float]) -> dict[str, list[float]]:
    return {stage: [round(first.get(stage, 0.0), 1), round(mb, 1)] for stage, mb in last.items()}


def _held_mb(pid: int) -> tuple[float, float]:
    """Return a process's proportional share of memory (PSS), and what it has allocated, no file, in MB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]
    except OSError:  # it has just ended, and its successor is not known yet
        return 0.0, 0.0
    kib = {name: int(amount.split()[0]) for name, amount in (line.split(":") for line in lines)}
    return kib["Pss"] / 1024, kib["Anonymous"] / 1024
