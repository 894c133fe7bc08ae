"""Carries out placements with whatever the box and the permissions give, and puts everything back.

From best to least: utilisation clamps of threads and of the service's cgroup, frequency limits, cores alone, nothing.
The governor stays whose it is: limits hold under any.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from voicebot.cpu.box import FULL_CAPACITY, Box, Cluster
from voicebot.cpu.changes import Changes
from voicebot.cpu.journal import UCLAMPS
from voicebot.cpu.kernel_files import KernelFiles
from voicebot.cpu.limits import CEILING, FLOOR, GOVERNOR, PREFERENCE, file_of
from voicebot.cpu.placement import Placement, Role, Seat, Speed
from voicebot.cpu.processes import Processes
from voicebot.cpu.rights import find_rights
from voicebot.cpu.scheduling import Scheduler
from voicebot.cpu.wake_up import WakeUp

_OWN_CGROUPS: Final = "proc/self/cgroup"
_CGROUPS: Final = "sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class Controls:
    """What can be controlled here, as far as that is known without doing it."""

    frequency: bool
    preference: bool
    clamps: bool
    """Only the schedutil governor makes a frequency of them."""
    affinity: bool
    realtime: bool
    nice: int | None
    """The lowest niceness that is allowed; None where none can be set."""
    wake_up: bool


class Actuators:
    """The only part that changes the processor's settings. Everything here may block, and raises nothing."""

    def __init__(self, box: Box, root: Path, journal: Path, scheduler: Scheduler | None = None) -> None:
        """Put back at once what an earlier run that crashed has left. `root` is / but for trees of other boxes."""
        self._box = box
        self._files = KernelFiles(root)
        self._changes = Changes(self._files, journal)
        self._scheduler = scheduler or Scheduler()
        self._processes = Processes(self._scheduler)
        self._wake_up = WakeUp(self._files)
        self._cgroup = self._own_cgroup()
        self._rights = find_rights(self._scheduler.syscalls)
        self._changes.put_back()

    def apply(self, placement: Placement, pids: Mapping[Role, Sequence[int]]) -> None:
        """Do what a placement says, as far as it goes. `pids` are the processes that have the roles."""
        wanted: dict[str, str] = {}
        for cluster in self._box.clusters:
            if speed := placement.speeds.get(cluster.name):
                wanted |= _limits(cluster, speed)
        if self._cgroup and placement.seats:
            wanted |= _service_clamps(self._cgroup, placement.seats.values())
        self._changes.make(wanted)
        for role, seat in placement.seats.items():
            for pid in pids.get(role, ()):
                self._processes.seat(pid, self._allowed(seat))
        if self._box.has_dma_latency:
            self._wake_up.hold(placement.wake_up_us)

    def restore(self) -> None:
        """Put everything back that is still as this process left it."""
        self._wake_up.hold(None)
        self._processes.restore()
        self._changes.put_back()

    @property
    def possible(self) -> Controls:
        """What this box and these permissions allow."""
        limited = [cluster.name for cluster in self._box.clusters if cluster.points]
        preferring = [cluster.name for cluster in self._box.clusters if cluster.preferences]
        return Controls(
            frequency=self._may_write(limited, FLOOR) and self._may_write(limited, CEILING),
            preference=self._may_write(preferring, PREFERENCE),
            clamps=self._rights.clamps,
            affinity=self._rights.affinity,
            realtime=self._rights.realtime,
            nice=self._rights.nice,
            wake_up=self._box.has_dma_latency and self._wake_up.possible,
        )

    @property
    def governors(self) -> dict[str, str]:
        """The governor in force by the cluster's name, where there is one."""
        read = {cluster.name: self._files.read(file_of(cluster.name, GOVERNOR)) for cluster in self._box.clusters}
        return {name: content.strip() for name, content in read.items() if content}

    def _allowed(self, seat: Seat) -> Seat:
        """Return a seat with the nearest niceness that is allowed."""
        lowest = 0 if self._rights.nice is None else min(self._rights.nice, 0)
        return replace(seat, nice=max(seat.nice, lowest))

    def _may_write(self, clusters: Collection[str], kind: str) -> bool:
        return self._changes.possible and any(self._files.may_write(file_of(name, kind)) for name in clusters)

    def _own_cgroup(self) -> str | None:
        """Return the directory of the service's cgroup (v2) below the root, None where it has no clamps."""
        lines = (self._files.read(_OWN_CGROUPS) or "").splitlines()
        path = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
        if not path or ".." in PurePosixPath(path).parts:
            return None
        cgroup = f"{_CGROUPS}/{path}"
        return cgroup if self._files.read(f"{cgroup}/{UCLAMPS[0]}") else None


def _limits(cluster: Cluster, speed: Speed) -> dict[str, str]:
    """Return what a cluster's files are to hold, by their names."""
    wanted: dict[str, str] = {}
    if cluster.points:
        floor, ceiling = _possible_khz(cluster, speed)
        wanted = {file_of(cluster.name, CEILING): f"{ceiling}\n", file_of(cluster.name, FLOOR): f"{floor}\n"}
    if speed.preference in cluster.preferences:
        wanted[file_of(cluster.name, PREFERENCE)] = f"{speed.preference}\n"
    return wanted


def _possible_khz(cluster: Cluster, speed: Speed) -> tuple[int, int]:
    ceiling = cluster.at_most(speed.ceiling_khz)
    return min(cluster.at_least(speed.floor_khz), ceiling), ceiling


def _service_clamps(cgroup: str, seats: Collection[Seat]) -> dict[str, str]:
    """Keep all of the service, threads that have just begun included, within what its seats span."""
    span = min(seat.clamp_min for seat in seats), max(seat.clamp_max for seat in seats)
    return {f"{cgroup}/{kind}": _percent(clamp) for kind, clamp in zip(UCLAMPS, span, strict=True)}


def _percent(clamp: int) -> str:
    return "max\n" if clamp >= FULL_CAPACITY else f"{clamp * 100 / FULL_CAPACITY:.2f}\n"
