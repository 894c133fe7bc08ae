"""From a voice's samples to the pipeline's: resampled in one stream, and without the silence before the first word."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from voicebot.audio import SAMPLE_RATE_HZ, Pcm, first_audible_sample, samples_from_ms, silence
from voicebot.audio_io.wav import to_int16

_LEAST_SAMPLES: Final = samples_from_ms(60)
_BEFORE_PHONEME_MS: Final = 100


def at_16_khz(audio: Iterator[NDArray[np.float32]], rate_hz: int, gain: float) -> Iterator[Pcm]:
    """Yield a voice's audio as 16 kHz int16: the same samples however it is cut.

    The resampler needs to see 17 ms ahead, which it keeps back each time and gives at the end.
    """
    stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
    for samples in audio:
        yield to_int16(stream.resample_chunk(samples * np.float32(gain)))
    yield to_int16(stream.resample_chunk(np.zeros(0, np.float32), last=True))


def silent_samples(first_phoneme: int, rate_hz: int) -> int:
    """Return how many samples at a voice's rate need not be made, of those before its first phoneme.

    None but those that would be cut: sound begins up to 60 ms before the first phoneme does. And only so many that
    resampling falls on the same instants with them and without.
    """
    grid = rate_hz // math.gcd(rate_hz, SAMPLE_RATE_HZ)
    return max(0, first_phoneme - rate_hz * _BEFORE_PHONEME_MS // 1000) // grid * grid


class Trimmer:
    """Cuts the near-silence in front of a clause, all of which the user would wait, but for `kept_ms` of it."""

    def __init__(self, kept_ms: float | None) -> None:
        """Cut nothing when `kept_ms` is None."""
        self.taken_samples = 0
        """Of the clause so far."""
        self.cut_samples = 0
        self._kept = samples_from_ms(kept_ms or 0)
        self._held = silence(0)
        self.leading = kept_ms is not None
        """Nothing audible has come yet."""

    def skip(self, samples: int) -> None:
        """Take so much of the silence for cut that was not made at all."""
        self.taken_samples += samples
        self.cut_samples += samples

    def trim(self, pieces: Iterator[Pcm]) -> Iterator[Pcm]:
        """Yield what is left of a sentence of the clause.

        The first piece comes with the first audible sample and has 60 ms, if the sentence does: less would have been
        played before the next window is there.
        """
        for pcm in pieces:
            self.taken_samples += len(pcm)
            if not self.leading:
                yield pcm
            elif self._hold(pcm) and len(self._held) >= _LEAST_SAMPLES:
                self.leading = False
                yield self._held
        if self.leading and self._hold(silence(0)):
            self.leading = False
            yield self._held

    def _hold(self, pcm: Pcm) -> bool:
        """Keep what may have to be played; return whether any of it is audible."""
        held = np.concatenate([self._held, pcm])
        start = first_audible_sample(held)
        cut = max(0, (len(held) if start is None else start) - self._kept)
        self.cut_samples += cut
        self._held = held[cut:]
        return start is not None
