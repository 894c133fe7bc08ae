"""How much energy the box has taken: by its meters, or reckoned from how busy its processors were. Says which."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from voicebot.clock import Watch
from voicebot.cpu.box import Box, Cluster, Meter
from voicebot.cpu.meters import current_of
from voicebot.cpu.power import Load, ModelledPower, model_of
from voicebot.cpu.sysfs import Folder

_JOULES_PER_UJ: Final = 1e-6
_MOST_W: Final = 1000
"""A counter that seems to have gone faster was set back to zero, as on waking from suspend."""
_BUSY_COLUMNS: Final = (1, 2, 3, 6, 7)
"""Of a line of /proc/stat: user, nice, system, irq and softirq; guests are within user (proc(5))."""
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Energy:
    """What the box has taken."""

    joules: float
    measured: bool
    """By a meter; else it is reckoned with a model."""

    def since(self, earlier: Energy) -> Energy:
        """Return what was taken after an earlier reading of the same source."""
        return Energy(self.joules - earlier.joules, self.measured and earlier.measured)


class EnergySource(Protocol):
    """Who knows the energy. To be read every few minutes at least, and every second where power is what is read."""

    def read(self) -> Energy:
        """Return what was taken since the source was made. Reads files, some milliseconds at worst."""


def energy_source(box: Box, clock: Watch, root: Path = Path("/")) -> EnergySource:
    """Return the box's meters, if it has any that can be read, else the model of it."""
    meter = EnergyMeter(box.meters, clock, root)
    if meter.works:
        return meter
    if box.meters:
        _log.warning("the box has energy meters that can't be read (%s); its energy is estimated", box.meters[0].path)
    return EnergyEstimate(box, clock, root)


class EnergyMeter:
    """The sum of some meters, of which none is a part of another."""

    def __init__(self, meters: Iterable[Meter], clock: Watch, root: Path = Path("/")) -> None:
        self._clock = clock
        self._joules = 0.0
        self._gauges = [_Counter(meter, root) if meter.kind == "rapl" else _Wattmeter(meter, root) for meter in meters]
        self.read()

    @property
    def works(self) -> bool:
        """Whether any of them could be read so far."""
        return any(gauge.works for gauge in self._gauges)

    def read(self) -> Energy:
        """Return what was taken since this was made. A meter that can't be read counts as soon as it can again."""
        now_s = self._clock.now_s()
        self._joules += sum(gauge.joules(now_s) for gauge in self._gauges)
        return Energy(self._joules, measured=True)


class _Counter:
    """A counter of energy that starts again at zero when it is full."""

    def __init__(self, meter: Meter, root: Path) -> None:
        self._path = root / meter.path
        self._wraps_uj = meter.wraps_uj
        self._last: tuple[float, int] | None = None

    @property
    def works(self) -> bool:
        return self._last is not None

    def joules(self, now_s: float) -> float:
        """Return what was counted since the last call that could read it."""
        uj = _number(self._path)
        if uj is None:
            return 0.0
        then_s, before_uj = self._last or (now_s, uj)
        self._last = now_s, uj
        joules = (uj - before_uj if uj >= before_uj else uj - before_uj + self._wraps_uj) * _JOULES_PER_UJ
        return joules if 0 <= joules <= _MOST_W * (now_s - then_s + 1) else 0.0


class _Wattmeter:
    """A meter of power, integrated by trapezoids between the moments at which it is read."""

    def __init__(self, meter: Meter, root: Path) -> None:
        self._path = root / meter.path
        self._last: tuple[float, float] | None = None

    @property
    def works(self) -> bool:
        return self._last is not None

    def joules(self, now_s: float) -> float:
        """Return what was taken since the last call that could read it."""
        watts = self._watts()
        if watts is None:
            return 0.0
        then_s, before_w = self._last or (now_s, watts)
        self._last = now_s, watts
        return (before_w + watts) / 2 * max(0.0, now_s - then_s)

    def _watts(self) -> float | None:
        """Return microwatts times 1e-6, which are also millivolts times milliamperes; None where nonsense is read."""
        value = _number(self._path)
        if value is not None and self._path.name.startswith("in"):
            current = _number(self._path.with_name(current_of(self._path.name)))
            value = None if current is None else value * current
        if value is None or value > _MOST_W / _JOULES_PER_UJ:
            return None
        return max(0.0, value * _JOULES_PER_UJ)  # a shunt without current may read a little below zero


class EnergyEstimate:
    """A model fed with how busy each processor was since the last reading, and its frequency at that moment."""

    def __init__(self, box: Box, clock: Watch, root: Path = Path("/"), model: ModelledPower | None = None) -> None:
        self._box = box
        self._clock = clock
        self._root = root
        self._model = model or model_of(box)
        self._joules = 0.0
        self._last_s = clock.now_s()
        self._busy_s = self._read_busy_s()

    def read(self) -> Energy:
        """Return what was taken since this was made, by the model."""
        now_s = self._clock.now_s()
        passed_s, before_s = now_s - self._last_s, self._busy_s
        if passed_s > 0:
            self._last_s, self._busy_s = now_s, self._read_busy_s()
            loads = [self._load(cluster, before_s, passed_s) for cluster in self._box.clusters]
            self._joules += self._model.watts(loads) * passed_s
        return Energy(self._joules, measured=False)

    def _load(self, cluster: Cluster, before_s: dict[int, float], passed_s: float) -> Load:
        now_s = self._busy_s
        busy_s = sum(now_s[cpu] - before_s.get(cpu, now_s[cpu]) for cpu in cluster.cpus if cpu in now_s)
        khz = _number(self._root / "sys/devices/system/cpu/cpufreq" / cluster.name / "scaling_cur_freq")
        if khz is None or not cluster.lowest_khz <= khz <= cluster.highest_khz:
            khz = cluster.highest_khz
        return Load(cluster.name, khz, min(max(0.0, busy_s / passed_s), len(cluster.cpus)))

    def _read_busy_s(self) -> dict[int, float]:
        """Return for each processor how long it was busy since the start of the system."""
        found = {}
        for line in (Folder(self._root / "proc").text("stat") or "").splitlines():
            words = line.split()
            if line.startswith("cpu") and words[0][3:].isdecimal() and all(map(str.isdecimal, words[1:])):
                ticks = sum(int(words[column]) for column in _BUSY_COLUMNS if column < len(words))
                found[int(words[0][3:])] = ticks / _TICKS_PER_S
        return found


def _number(path: Path) -> int | None:
    return Folder(path.parent).number(path.name)
