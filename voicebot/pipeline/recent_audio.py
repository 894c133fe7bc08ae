"""The newest audio of the microphone, addressed by sample."""

from __future__ import annotations

import numpy as np

from voicebot.audio import Frame, Pcm, silence


class RecentAudio:
    """A ring of the newest `capacity` samples of one timeline."""

    def __init__(self, capacity: int) -> None:
        self._ring = silence(capacity)
        self.end_sample = 0

    @property
    def begin_sample(self) -> int:
        """The oldest sample that is still there."""
        return max(0, self.end_sample - len(self._ring))

    def append(self, frame: Frame) -> None:
        """Add the next frame."""
        position = frame.start_sample % len(self._ring)
        room = len(self._ring) - position
        self._ring[position : position + len(frame.pcm)] = frame.pcm[:room]
        if room < len(frame.pcm):
            self._ring[: len(frame.pcm) - room] = frame.pcm[room:]
        self.end_sample = frame.end_sample

    def read(self, start_sample: int, end_sample: int) -> Pcm:
        """Return a copy of a stretch, cut to what is still there."""
        start, end = max(start_sample, self.begin_sample), min(end_sample, self.end_sample)
        if start >= end:
            return silence(0)
        first, last = start % len(self._ring), end % len(self._ring)
        if first < last:
            return self._ring[first:last].copy()
        return np.concatenate((self._ring[first:], self._ring[:last]))
