"""How hot the box is: the kernel's thermal zones, and the sensors of processors that have none."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable
from itertools import chain, count
from pathlib import Path
from typing import Final, Literal

from voicebot.clock import Clock
from voicebot.cpu.box import Trip, Zone
from voicebot.cpu.sysfs import Folder

_FRESH_S: Final = 5.0
"""A box takes minutes to warm up, and a sensor may take milliseconds to be read."""
_MILLI: Final = 1000
_COLDEST_C: Final = -55
"""Below it no chip is specified to work. Sensors that are switched off read -256, -274 or 0."""
_HOTTEST_C: Final = 127
"""The largest value of a byte: what a sensor reads that does not answer."""
_MOST_TRIPS: Final = 16
_KINDS: Final[dict[str, Literal["active", "passive", "hot", "critical"]]] = {
    "active": "active",
    "passive": "passive",
    "hot": "hot",
    "critical": "critical",
}
_PROCESSOR_SENSORS: Final = {"k10temp", "zenpower"}
"""Drivers of hwmon for processors that get no thermal zone (AMD's)."""

_log = logging.getLogger(__name__)
_told: set[Path] = set()
"""Zones that have read nonsense, for one line each as long as the process runs."""


def find_zones(root: Path = Path("/")) -> tuple[Zone, ...]:
    """Return the thermal zones below a file system's root, each with a name of its own."""
    zones: dict[str, Zone] = {}
    for path in Folder(root / "sys/class/thermal").matching("thermal_zone*"):
        folder = Folder(path)
        _add(zones, folder.text("type") or path.name, path, root, _trips(folder))
    for path in Folder(root / "sys/class/hwmon").matching("hwmon*"):
        if (name := Folder(path).text("name")) in _PROCESSOR_SENSORS:
            _add(zones, name or "", path, root, ())
    return tuple(zones.values())


def temperatures_c(root: Path, zones: Iterable[Zone]) -> dict[str, float]:
    """Return the temperatures of zones in degrees Celsius, by name: only those that make sense."""
    found = {}
    for zone in zones:
        celsius = _temperature_c(root / zone.path)
        if celsius is not None:
            found[zone.name] = celsius
    return found


def hottest_c(root: Path = Path("/")) -> float | None:
    """Return the temperature of the hottest zone in degrees Celsius; None when none can be read."""
    return max(temperatures_c(root, find_zones(root)).values(), default=None)


class Thermometer:
    """The hottest zone for those who ask often; read again after a few seconds."""

    def __init__(self, clock: Clock, root: Path = Path("/")) -> None:
        self._clock = clock
        self._root = root
        self._read_s = -math.inf
        self._latest_c: float | None = None

    async def read_c(self) -> float | None:
        """Return the hottest zone's temperature in degrees Celsius, at most a few seconds old; None when unknown."""
        now_s = self._clock.now_s()
        if now_s - self._read_s >= _FRESH_S:
            self._read_s = now_s
            self._latest_c = await asyncio.to_thread(hottest_c, self._root)
        return self._latest_c


def _add(zones: dict[str, Zone], name: str, path: Path, root: Path, trips: tuple[Trip, ...]) -> None:
    names = chain([name], (f"{name} {number}" for number in count(2)))
    unique = next(each for each in names if each not in zones)
    zones[unique] = Zone(unique, str(path.relative_to(root)), trips)


def _trips(folder: Folder) -> tuple[Trip, ...]:
    """Return the trips that are set; the kernel gives those that are not 0 or -274 degrees."""
    trips = []
    for number in range(_MOST_TRIPS):
        kind = _KINDS.get(folder.text(f"trip_point_{number}_type") or "")
        millidegrees = folder.number(f"trip_point_{number}_temp")
        if kind and millidegrees is not None and millidegrees > 0:
            trips.append(Trip(kind, millidegrees / _MILLI))
    return tuple(trips)


def _temperature_c(path: Path) -> float | None:
    folder = Folder(path)
    millidegrees = folder.number("temp")
    if millidegrees is None:
        millidegrees = folder.number("temp1_input")
    celsius = math.nan if millidegrees is None else millidegrees / _MILLI
    if _COLDEST_C < celsius < _HOTTEST_C and celsius != 0:
        return celsius
    if path not in _told:
        _told.add(path)
        _log.warning("%s: no temperature that makes sense (%s °C); left out until it has one", path, celsius)
    return None
