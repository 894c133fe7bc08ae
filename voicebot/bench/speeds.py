"""The frequencies at which a benchmark runs: a few operating points where these can be set, else whatever is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from voicebot.cpu.actuators import Actuators
from voicebot.cpu.box import Cluster
from voicebot.cpu.journal import default_path
from voicebot.cpu.placement import Placement, Speed
from voicebot.cpu.seats import physical_cores
from voicebot.cpu.topology import read_box

_KHZ_PER_GHZ: Final = 1e6
_UNKNOWN_GHZ: Final = 1.0

Point = Mapping[str, int]
"""A frequency in kHz for some clusters by their names; empty where none can be set."""


class Speeds:
    """Those of one box. Whoever sets any has to `restore` them; after a crash the daemon's next start does."""

    def __init__(self, usable: Collection[int], root: Path = Path("/"), journal: Path | None = None) -> None:
        """`usable`: the processors that may be used. `root` is / but for trees of other boxes."""
        self._root, self._usable = root, usable
        self._box = read_box(root, usable)
        self._actuators = Actuators(self._box, root, journal or default_path())
        self.settable = self._actuators.possible.frequency
        self.ghz = _UNKNOWN_GHZ
        """What the slowest cluster was set to, which all threads wait for; 1 while nothing was."""

    @property
    def cores(self) -> tuple[int, ...]:
        """One processor of each core, the fastest first."""
        return tuple(core[0] for core in reversed(physical_cores(self._box)))

    def points(self, cpus: Collection[int]) -> Sequence[Point]:
        """Return the highest, the lowest and a middle operating point of the clusters of these processors."""
        clusters = [one for one in self._box.clusters if one.points and not set(one.cpus).isdisjoint(cpus)]
        if not self.settable or not clusters:
            return [{}]
        few = [{one.name: _few(one)[number] for one in clusters} for number in range(3)]
        return list({tuple(point.values()): point for point in few}.values())

    def set(self, point: Point) -> bool:
        """Set frequencies; return whether they are in force: another process may own them, or the box be too hot."""
        self._actuators.apply(Placement(speeds={name: Speed(khz, khz) for name, khz in point.items()}), {})
        self.ghz = min(point.values()) / _KHZ_PER_GHZ if point else _UNKNOWN_GHZ
        held = {one.name: (one.floor_khz, one.ceiling_khz) for one in read_box(self._root, self._usable).clusters}
        return all(held[name] == (khz, khz) for name, khz in point.items())

    def restore(self) -> None:
        """Put everything back."""
        self._actuators.restore()


def _few(cluster: Cluster) -> tuple[int, int, int]:
    khz = [point.khz for point in cluster.points]
    return khz[-1], khz[0], khz[(len(khz) - 1) // 2]
