"""How long work will take on which cores, and how much energy. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from voicebot.cpu.box import Box, Cluster
from voicebot.cpu.demand import Stage, Work
from voicebot.cpu.pace import KHZ_PER_GHZ, Curve, Speeds, khz_at, levels, power, speeds
from voicebot.cpu.placement import Role, Seat
from voicebot.latency.cost import StageCost

ROLES: Final[Mapping[Stage, Role]] = MappingProxyType(
    {"asr": "asr", "slm_read": "slm", "slm": "slm", "tts": "tts", "turn": "turn"}
)
"""Who does a stage's work."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known of a box and of the stages on it."""

    box: Box
    costs: Mapping[tuple[Stage, str], StageCost]
    """By the stage and the cluster's name; one cluster of each kind is enough."""
    static_share: float
    levels: tuple[float, ...] = field(init=False)
    speeds: Mapping[str, Speeds] = field(init=False)
    """At these levels, by the cluster's name; only of those whose frequencies are known."""

    def __post_init__(self) -> None:
        known = [cluster for cluster in self.box.clusters if cluster.points]
        object.__setattr__(self, "levels", levels(known))
        object.__setattr__(self, "speeds", {cluster.name: speeds(cluster, self.levels) for cluster in known})

    def clusters(self, seat: Seat) -> list[Cluster]:
        """Return the clusters that a seat has cores of."""
        return [cluster for cluster in self.box.clusters if not set(cluster.cpus).isdisjoint(seat.cpus)]

    def kinds(self, seat: Seat) -> list[Cluster]:
        """Return one of these for each kind of core."""
        return list({_kind(cluster): cluster for cluster in self.clusters(seat)}.values())

    def curve(self, work: Work, seat: Seat) -> Curve | None:
        """Return how long work takes on a seat, None where a frequency or a cost is not known."""
        costs = []
        for cluster in self.kinds(seat):
            cost = self._cost(work.stage, cluster)
            if cost is None or cluster.name not in self.speeds:
                return None
            costs.append((self.speeds[cluster.name], cost))
        return Curve.of(self.levels, work.units, costs)

    def energy(self, work: Work, seat: Seat, level: float) -> float | None:
        """Return what work takes on a seat at a level, in a unit that the whole box shares; None where not known."""
        total = 0.0
        for cluster in self.clusters(seat):
            khz = khz_at(cluster, level)
            cost = self._cost(work.stage, cluster)
            watts = power(cluster, khz, self.static_share)
            if cost is None or watts is None:
                return None
            cores = seat.threads * len(set(cluster.cpus).intersection(seat.cpus)) / len(seat.cpus)
            total += cores * watts * cost.seconds(work.units, khz / KHZ_PER_GHZ)
        return total

    def _cost(self, stage: Stage, cluster: Cluster) -> StageCost | None:
        alike = (each.name for each in self.box.clusters if _kind(each) == _kind(cluster))
        return next((self.costs[stage, name] for name in (cluster.name, *alike) if (stage, name) in self.costs), None)


def _kind(cluster: Cluster) -> tuple[int, int]:
    return cluster.capacity, cluster.highest_khz
