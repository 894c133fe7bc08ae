"""How long after the loudspeaker the microphone hears it, from the two signals alone.

Cross-correlation whose spectrum is whitened, so that a room and the melody of a voice don't blur its peak: GCC-PHAT
(C. H. Knapp and G. C. Carter, "The generalized correlation method for estimation of time delay", 1976), with the
weight |X|^0.8 that lets the louder bands count for a little more.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicebot.audio import Pcm, samples_from_ms

EARLIEST_SAMPLES: Final = -samples_from_ms(500)
LATEST_SAMPLES: Final = samples_from_ms(1000)
"""Delays that are looked for. A negative one means that the device plays sooner than it says."""

_DECIMATION: Final = 4  # 2 kHz of bandwidth hold most of a voice, at a quarter of the work
_WEIGHT: Final = 0.8
# Over 4 minutes of Piper through a room, alone and with people talking over it, and over 4 minutes of people alone,
# windows of 320 ms: no wrong delay was taken for the true one with these.
_SURE: Final = 20.0
_LIKELY: Final = 8.0
_SAME_SAMPLES: Final = samples_from_ms(3)
# A voice has 5.6 at a given delay once in a hundred windows, echo that was not cancelled nearly always.
_PRESENT: Final = 6.0
_PRESENT_ANYWHERE: Final = 14.0
_PRESENT_BEFORE_SAMPLES: Final = samples_from_ms(2)
_PRESENT_AFTER_SAMPLES: Final = samples_from_ms(11)  # the canceller holds its output back for 8


class EchoDelay:
    """Follows the delay of one microphone and one speaker."""

    def __init__(self) -> None:
        self.samples: int | None = None
        """The delay, once it is known."""
        self.likely = False
        """Whether the last stretch that was looked at seems to hold what was played."""
        self._candidate: int | None = None

    def follow(self, heard: Pcm, played: Pcm) -> bool:
        """Look at the next stretch of the microphone; return whether the delay is another than it was.

        `played`: from LATEST_SAMPLES before the stretch to -EARLIEST_SAMPLES after it. A peak counts when it is very
        clear, or when the stretch before had it in the same place; so stretches should not overlap.
        """
        peaks = _prominence(heard, played)
        peak = int(peaks.argmax())
        self.likely = bool(peaks[peak] >= _LIKELY)
        if not self.likely:
            return False
        delay = LATEST_SAMPLES - peak * _DECIMATION
        before, self._candidate = self._candidate, delay
        if peaks[peak] < _SURE and (before is None or abs(delay - before) > _SAME_SAMPLES):
            return False
        changed = self.samples is None or abs(delay - self.samples) > _SAME_SAMPLES
        self.samples = delay
        return changed

    def found_in(self, heard: Pcm, played: Pcm) -> bool:
        """Return whether a stretch of 100 ms or more holds what was played. The arguments are those of `follow`."""
        peaks = _prominence(heard, played)
        if peaks.max() > _PRESENT_ANYWHERE:
            return True
        if self.samples is None:
            return False
        first = (LATEST_SAMPLES - self.samples - _PRESENT_AFTER_SAMPLES) // _DECIMATION
        last = (LATEST_SAMPLES - self.samples + _PRESENT_BEFORE_SAMPLES) // _DECIMATION
        return bool(peaks[max(0, first) : last + 1].max() > _PRESENT)


def _prominence(heard: Pcm, played: Pcm) -> NDArray[np.float32]:
    """Return |correlation| over its RMS at every place that `heard` may have in `played`, one in four samples."""
    short, long = _decimated(heard), _decimated(played)
    size = 1 << (len(long) - 1).bit_length()
    cross = np.conj(np.fft.rfft(short, size)) * np.fft.rfft(long, size)
    magnitude = np.abs(cross)
    cross /= (magnitude + 1e-9 * magnitude.max() + 1e-9) ** _WEIGHT
    peaks = np.abs(np.fft.irfft(cross, size)[: len(long) - len(short) + 1])
    rms = float(np.sqrt(np.mean(np.square(peaks))))
    return np.asarray(peaks / max(rms, 1e-9), np.float32)


def _decimated(pcm: Pcm) -> NDArray[np.float32]:
    """Return the means of four samples each."""
    whole = len(pcm) // _DECIMATION * _DECIMATION
    return np.asarray(pcm[:whole].reshape(-1, _DECIMATION).mean(axis=1), np.float32)
