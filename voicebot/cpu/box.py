"""What a box's processor is, as far as is known: the vocabulary of everything in cpu/ and sim/. No I/O.

Frequencies are kHz, as the kernel has them, capacities its own scale: the fastest core at its top frequency is 1024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

FULL_CAPACITY: Final = 1024


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A frequency, and the voltage that it takes; None where nobody says."""

    khz: int
    volts: float | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """Cores that share one frequency: a cpufreq policy, or all of a box that has none.

    `points` are ascending, with the lowest and the highest at least; empty where the frequency is not known.
    """

    name: str
    cpus: tuple[int, ...]
    capacity: int = FULL_CAPACITY
    """Of one core, at the highest point."""
    points: tuple[OperatingPoint, ...] = ()
    governor: str = ""
    governors: tuple[str, ...] = ()
    preference: str = ""
    """The energy-performance preference; empty where there is none."""
    preferences: tuple[str, ...] = ()
    floor_khz: int = 0
    """The limits in force, 0 where unknown."""
    ceiling_khz: int = 0

    @property
    def lowest_khz(self) -> int:
        """The lowest frequency; 0 where unknown."""
        return self.points[0].khz if self.points else 0

    @property
    def highest_khz(self) -> int:
        """The highest frequency; 0 where unknown."""
        return self.points[-1].khz if self.points else 0

    def at_least(self, khz: float) -> int:
        """Return the lowest frequency that is not below this one, the highest where there is none."""
        return next((point.khz for point in self.points if point.khz >= khz), self.highest_khz)

    def at_most(self, khz: float) -> int:
        """Return the highest frequency that is not above this one, the lowest where there is none."""
        return next((point.khz for point in reversed(self.points) if point.khz <= khz), self.lowest_khz)


@dataclass(frozen=True, slots=True)
class Trip:
    """A temperature at which the firmware or the kernel does something: slow down, or switch off."""

    kind: Literal["active", "passive", "hot", "critical"]
    celsius: float


@dataclass(frozen=True, slots=True)
class Zone:
    """A thermal zone. `path` is the directory of its files below the root."""

    name: str
    path: str
    trips: tuple[Trip, ...] = ()


@dataclass(frozen=True, slots=True)
class Meter:
    """What says how much energy or power the box takes. `path` is its file, or directory, below the root."""

    kind: Literal["rapl", "hwmon"]
    name: str
    path: str
    wraps_uj: int = 0
    """Where the energy counter starts again at zero; 0 for a meter of power."""


@dataclass(frozen=True, slots=True)
class Box:
    """The processor of one computer."""

    clusters: tuple[Cluster, ...]
    threads_of_core: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """For each cpu those that share its core, itself included; more than one with SMT."""
    zones: tuple[Zone, ...] = ()
    meters: tuple[Meter, ...] = ()
    has_dma_latency: bool = False

    @property
    def cpus(self) -> tuple[int, ...]:
        """All that are online and may be used."""
        return tuple(sorted(cpu for cluster in self.clusters for cpu in cluster.cpus))

    def cluster_of(self, cpu: int) -> Cluster:
        """Return the cluster that a cpu is in. Raises KeyError."""
        for cluster in self.clusters:
            if cpu in cluster.cpus:
                return cluster
        raise KeyError(cpu)
