"""What the daemon could see of a simulated box: how long each request took, on which cores, and at what frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voicebot.cpu.demand import Stage
from voicebot.sim.cores import Task
from voicebot.sim.machine import Machine

_KHZ_PER_GHZ: Final = 1e6


@dataclass(frozen=True, slots=True)
class Observed:
    """One request to a worker, or one step of the language model, that served nobody else."""

    stage: Stage
    core: str
    """The first cluster of the kind of its cores."""
    threads: int
    units: float
    ghz: float
    """Its slowest core's, averaged over the time that it took."""
    seconds: float
    """From its worker's beginning to its end."""
    begin_s: float
    hindered: bool
    """Whether others took some of its cores' time, or of the memory's, or it moved to cores of another kind."""


@dataclass(slots=True)
class _Running:
    begin_s: float
    ghz_s: float = 0.0
    cores: frozenset[str] = frozenset()


class Watch:
    """Watches one machine's tasks from its beginning."""

    def __init__(self, machine: Machine) -> None:
        self.observed: list[Observed] = []
        self._machine = machine
        self._running: dict[Task, _Running] = {}
        silicon = machine.chip.silicon
        self._kinds = {name: next(one for one in silicon if silicon[one] == silicon[name]) for name in silicon}
        machine.on_finished = self._finished

    def pass_time(self, seconds: float) -> None:
        """Take note of who runs during a stretch of time that begins now."""
        machine = self._machine
        running: dict[Task, _Running] = {}
        for task in machine.tasks:
            seen = self._running.get(task) or _Running(machine.now_s)
            clusters = {machine.cluster_of(cpu) for cpu in task.cpus}
            seen.ghz_s += seconds * min(machine.khz[name] for name in clusters) / _KHZ_PER_GHZ
            seen.cores |= {self._kinds[name] for name in clusters}
            running[task] = seen
        self._running = running  # without those that were cancelled

    def _finished(self, task: Task) -> None:
        if task.work is None or task not in self._running:
            return
        seen = self._running[task]
        seconds = self._machine.now_s - seen.begin_s
        self.observed.append(
            Observed(
                stage=task.work.stage,
                core=min(seen.cores),
                threads=task.seat.threads,
                units=task.work.units,
                ghz=seen.ghz_s / seconds,
                seconds=seconds,
                begin_s=seen.begin_s,
                hindered=task.hindered or len(seen.cores) > 1,
            )
        )
