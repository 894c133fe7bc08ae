"""Sets cores and frequencies by what the sessions need: a task beside the workers that watches what happens.

It decides whenever a session's needs change, and now and then beside that; decisions never queue up, the latest wins.
Whatever fails in it costs one line of the log: the box is restored, and the conversation goes on without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from voicebot.clock import Clock
from voicebot.config.box import PowerSettings
from voicebot.config.pipeline import PipelineSettings
from voicebot.config.tiers import kind_of
from voicebot.cpu.attention import Attention, Expected
from voicebot.cpu.journal import default_path
from voicebot.cpu.pace import KHZ_PER_GHZ
from voicebot.cpu.pilot import Moment, Outcome, Pilot
from voicebot.cpu.placement import Role
from voicebot.cpu.policy import Policy, PolicySettings
from voicebot.cpu.scheduling import Scheduler
from voicebot.cpu.seats import Seating
from voicebot.cpu.status import status_path
from voicebot.events import Event, Observer, StateChanged, TurnEnded, WorkerChanged
from voicebot.latency.costs import unknown_ghz
from voicebot.latency.plan import Ladders

_log = logging.getLogger(__name__)
_BUSY_S: Final = 0.1
_IDLE_S: Final = 2.0
_METER_S: Final = 60.0
"""A counter of energy starts again at zero after some minutes at full power."""
_ROLES: Final[dict[str, Role]] = {
    "asr": "asr",
    "slm_read": "slm",
    "slm": "slm",
    "tts_first": "tts",
    "tts": "tts",
    "turn": "turn",
}
"""Of the workers, by their kind, and who does what the costs are of, by their names."""
Result = TypeVar("Result")


class Governor:
    """Of one box. To be told of all events by `observe`; it works inside `running`."""

    def __init__(self, pilot: Pilot, attention: Attention, clock: Clock, observer: Observer) -> None:
        self.pilot = pilot
        self._attention = attention
        self._clock = clock
        self._observer = observer
        self._ladders = Ladders()
        self._changed = asyncio.Event()
        self._turns: list[Event] = []
        self._pids: dict[str, int] = {}
        self._outcome = Outcome()
        self._busy = False
        self._ending = False
        self.works = True
        """False after it has failed."""
        # One thread, so that what is restored at the end is not overtaken by what was decided before.
        self._thread = ThreadPoolExecutor(1, "governor")

    @property
    def policy(self) -> Policy:
        """What it decides by."""
        return self.pilot.policy

    @property
    def seating(self) -> Seating:
        """Where everybody is at home, and how many threads suit that."""
        return self.policy.seating

    @property
    def outcome(self) -> Outcome:
        """What was done last."""
        return self._outcome

    @property
    def status(self) -> Mapping[str, Any]:
        """What is told of the processor, as cpu/status.py has it."""
        return self.pilot.status

    @property
    def sets_frequency(self) -> bool:
        """Whether it does: then the frequency of a busy core is known."""
        return self.pilot.controls.frequency

    def ghz(self, stage: str) -> float:
        """Return at which frequency a stage runs, by the name of its cost; 1 where that is not known.

        A busy core goes up to its ceiling under any governor of the kernel's, and where there is none yet to the top.
        """
        if not self.sets_frequency:
            return unknown_ghz(stage)
        placement, role = self._outcome.placement, _ROLES[stage]
        cpus = placement.seats.get(role, self.seating.seats[role]).cpus
        ceilings_khz = [
            placement.speeds[cluster.name].ceiling_khz if cluster.name in placement.speeds else cluster.highest_khz
            for cluster in self.policy.box.clusters
            if cluster.points and not set(cluster.cpus).isdisjoint(cpus)
        ]
        return min(ceilings_khz) / KHZ_PER_GHZ if ceilings_khz else unknown_ghz(stage)

    def observe(self, event: Event) -> None:
        """Take note of an event, of a session or a worker. Does not block."""
        if not self.works:
            return
        match event:
            case WorkerChanged(stage=stage, pid=pid, state="loading" | "ready") if pid is not None:
                self._pids[stage] = pid
            case WorkerChanged(stage=stage):
                self._pids.pop(stage, None)
            case StateChanged() | TurnEnded():
                self._turns.append(event)
            case _:
                pass
        if self._attention.observe(event, self._clock.now_s()) or isinstance(event, WorkerChanged):
            self._changed.set()

    @asynccontextmanager
    async def running(self, ladders: Ladders) -> AsyncGenerator[None, None]:
        """Govern inside the block, by the costs of these ladders, which are told of the heat; then restore the box."""
        self._ladders = ladders
        task = asyncio.create_task(self._run(), name="governor")
        try:
            await self.step()
            yield
        finally:
            # Not by a cancellation: what its last step has come to would be lost.
            self._ending = True
            self._changed.set()
            await task
            await self.close()

    async def close(self) -> None:
        """Take the turns into account that have just ended, and restore the box."""
        await self.step()
        await self._guarded(self.pilot.restore)
        self._thread.shutdown(wait=False)

    async def step(self) -> None:
        """Decide once, and carry it out."""
        self._changed.clear()
        now_s = self._clock.now_s()
        demands, costs = self._attention.demands(now_s), self._ladders.costs
        self._busy = bool(demands)
        moment = Moment(
            now_s,
            demands,
            events=self._turns,
            pids=self._pids_of_roles(),
            costs={} if costs is None else {key.stage: cost for key, cost in costs.learnt.items()},
            rungs=self._ladders.rungs,
        )
        self._turns = []
        outcome = await self._guarded(lambda: self.pilot.step(moment))
        self._outcome = outcome or Outcome()
        self._ladders.pressure = self._outcome.pressure
        for energy in self._outcome.energies:
            self._observer(energy)

    async def _run(self) -> None:
        while self.works and not self._ending:
            try:
                async with asyncio.timeout(self.pause_s):
                    await self._changed.wait()
            except TimeoutError:
                pass
            if not self._ending:
                await self.step()

    @property
    def pause_s(self) -> float | None:
        """After what time it decides although nothing has changed; None where nothing can come of it."""
        pilot = self.pilot
        controls, box = pilot.controls, pilot.policy.box
        dynamic = controls.frequency or controls.preference or controls.clamps or controls.wake_up
        if dynamic and self._busy:
            return _BUSY_S
        if box.zones or any(meter.kind == "hwmon" for meter in box.meters) or not self._outcome.settled:
            return _IDLE_S
        return _METER_S if box.meters else None

    def _pids_of_roles(self) -> dict[Role, list[int]]:
        pids: dict[Role, list[int]] = {"audio": [os.getpid()]}
        for stage, pid in self._pids.items():
            pids.setdefault(_ROLES[kind_of(stage)], []).append(pid)
        return pids

    async def _guarded(self, work: Callable[[], Result]) -> Result | None:
        """Return what came of work in the thread; after a failure, there is none any more."""
        if not self.works:
            return None
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work)
        except Exception as error:  # noqa: BLE001 - whatever it is, the conversation goes on
            self.works = False
            _log_failure(error)
            with contextlib.suppress(Exception):
                await loop.run_in_executor(self._thread, self.pilot.restore)
            return None


async def open_governor(
    power: PowerSettings,
    pipeline: PipelineSettings,
    clock: Clock,
    observer: Observer,
    *,
    root: Path = Path("/"),
    journal: Path | None = None,
    status: Path | None = None,
    usable: Collection[int] | None = None,
    scheduler: Scheduler | None = None,
) -> Governor | None:
    """Return the governor of the box below a root; None where it is not wanted, or can't be, which is logged.

    `journal`, `status`: its files, by default at their places. `usable`: the cores that this process may use, by
    default all. `observer` is told of the energy of turns.
    """
    if not power.enabled:
        return None
    places = root, journal or default_path(), status or status_path()
    settings, budget = policy_settings(power, pipeline), pipeline.budget
    try:
        pilot = await asyncio.to_thread(Pilot, settings, *places, clock.now_s(), usable, scheduler)
    except Exception as error:  # noqa: BLE001 - whatever it is, there is a conversation without it
        _log_failure(error)
        return None
    expected = Expected((budget.total_ms - budget.endpoint_ms) / 1000, pipeline.clauses.first_words)
    return Governor(pilot, Attention(expected), clock, observer)


def _log_failure(error: Exception) -> None:
    trace = _log.isEnabledFor(logging.DEBUG)
    _log.error("the processor is left to itself (%s: %s)", type(error).__name__, error, exc_info=trace)


def policy_settings(power: PowerSettings, pipeline: PipelineSettings) -> PolicySettings:
    """Return what the policy decides by."""
    return PolicySettings(
        clamp_idle=power.clamp_idle,
        race=power.race,
        total_budget_s=pipeline.budget.total_ms / 1000,
        heat_margin_c=power.heat_margin_c,
        heat_alpha_per_c=power.heat_alpha_per_c,
        assumed_trip_c=power.assumed_trip_c,
    )
