"""How hot the box is, by the kernel's thermal zones."""

from __future__ import annotations

import asyncio
import contextlib
import math
from pathlib import Path
from typing import Final

from voicebot.clock import Clock

_FRESH_S: Final = 5.0
"""A box takes minutes to warm up, and a sensor may take milliseconds to be read."""
_MILLI: Final = 1000


def hottest_c(root: Path = Path("/sys")) -> float | None:
    """Return the temperature of the hottest thermal zone in degrees Celsius; None when none can be read."""
    found = []
    for file in root.glob("class/thermal/thermal_zone*/temp"):
        with contextlib.suppress(OSError, ValueError):  # a zone whose sensor sleeps
            found.append(int(file.read_text()) / _MILLI)
    return max(found, default=None)


class Thermometer:
    """The same for those who ask often; read again after a few seconds."""

    def __init__(self, clock: Clock, root: Path = Path("/sys")) -> None:
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
