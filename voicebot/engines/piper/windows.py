"""Which frames of a sentence the vocoder is given at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_FIRST_FRAMES: Final = 20
"""232 ms at 22,050 Hz, of which some 60 are silence: enough to be heard until the next window is made."""
_MOST_FRAMES: Final = 256
"""3 s: beyond that the context is below a tenth of the work."""


@dataclass(frozen=True, slots=True)
class Window:
    """Frames `start` to `stop`, and the frames `seen_from` to `seen_to` that have to be run for them."""

    start: int
    stop: int
    seen_from: int
    seen_to: int


def windows(frames: int, context: int, begin: int = 0) -> Iterator[Window]:
    """Yield windows that cover all frames from `begin` on, each with `context` more to either side where there are any.

    The first is small, so that there is sound at once; each is twice as long as the one before it, so that playback
    catches up with none as long as a frame takes less than a quarter of its own time. None but the only one is shorter
    than the first.
    """
    start, size = begin, _FIRST_FRAMES
    while start < frames:
        stop = start + size if frames - start - size >= _FIRST_FRAMES else frames
        yield Window(start, stop, max(0, start - context), min(frames, stop + context))
        start, size = stop, min(2 * size, _MOST_FRAMES)
