"""Whether somebody near is heard over what is always there: a fan, a street, a room full of people talking.

A voice detector takes the murmur of many people for speech, which it is. But one who speaks to the box is louder
than the murmur, and the murmur has no pauses. So the level of the last 160 ms is compared with the quietest moments
of the last 8 s: steady noise hardly varies, and little above it stands out; a murmur varies more, and asks for more.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from voicebot.audio import FRAME_MS, Frame, level_dbfs

_MEMORY_FRAMES: Final = 8000 // FRAME_MS
"""People who read aloud pause more often than that for a twentieth of the time."""
_RECENT_FRAMES: Final = 160 // FRAME_MS
_FLOOR_SHARE: Final = 0.05
_SPREAD_SHARE: Final = 0.2
# Measured: of 24 minutes with 8 to 16 talkers no moment stands out, and of four people reading 1 % is missed.
_STEADY_MARGIN_DB: Final = 4.0
_MARGIN_PER_SPREAD: Final = 2.5
_LARGEST_MARGIN_DB: Final = 10.0
_GOING_ON_DB: Final = -3.0
"""A voice that stood out may fall that much lower: its soft sounds are no pauses."""


class Background:
    """Follows the level of one microphone."""

    def __init__(self) -> None:
        self._levels: deque[float] = deque(maxlen=_MEMORY_FRAMES)

    def hear(self, frame: Frame) -> None:
        """Take the next frame."""
        if not frame.gap:
            self._levels.append(level_dbfs(frame.pcm))

    def stands_out(self, *, going_on: bool = False) -> bool:
        """Return whether the last 160 ms are louder than what is always there. `going_on`: somebody was speaking.

        With less than 8 s heard, the quietest of them count; what goes on unchanged from the start never stands out.
        """
        if not self._levels:
            return False
        levels = np.array(self._levels)
        quiet = np.sort(levels)[: int(_SPREAD_SHARE * len(levels)) + 1]
        floor = quiet[int(_FLOOR_SHARE * len(levels))]
        margin = min(_LARGEST_MARGIN_DB, _STEADY_MARGIN_DB + _MARGIN_PER_SPREAD * (quiet[-1] - floor))
        if going_on:
            margin += _GOING_ON_DB
        recent = 10 * np.log10(np.mean(10 ** (levels[-_RECENT_FRAMES:] / 10)))
        return bool(recent > floor + margin)
