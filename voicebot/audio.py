"""Audio as the pipeline knows it: 16 kHz mono int16, counted in samples.

A moment is a sample number on the session's own timeline, which its microphone and its speaker share. Everything
that measures, measures on that timeline; milliseconds appear only where a person reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]

SAMPLE_RATE_HZ: Final = 16_000
FRAME_MS: Final = 20
FRAME_SAMPLES: Final = SAMPLE_RATE_HZ * FRAME_MS // 1000
FULL_SCALE: Final = 32_768
AUDIBLE_LEVEL: Final = FULL_SCALE // 100
VOICED_SHARE_OF_PEAK: Final = 0.01
_SILENCE_DBFS: Final = -120.0


@dataclass(frozen=True, slots=True)
class Frame:
    """20 ms of microphone audio, numbered by its first sample.

    `gap` marks silence that stands in for audio which was lost, so that sample time stays true.
    """

    start_sample: int
    pcm: Pcm
    gap: bool = False

    @property
    def end_sample(self) -> int:
        """The sample after the last one of this frame."""
        return self.start_sample + len(self.pcm)


def samples_from_ms(duration_ms: float) -> int:
    """Return how many samples last `duration_ms`."""
    return round(duration_ms * SAMPLE_RATE_HZ / 1000)


def ms_from_samples(samples: int) -> float:
    """Return how long `samples` last, in milliseconds."""
    return samples * 1000 / SAMPLE_RATE_HZ


def silence(samples: int) -> Pcm:
    """Return that many zero samples."""
    return np.zeros(samples, np.int16)


def level_dbfs(pcm: Pcm) -> float:
    """Return the RMS level in dB below full scale; -120 for digital silence."""
    if len(pcm) == 0:
        return _SILENCE_DBFS
    samples = pcm.astype(np.float32)
    rms = float(np.sqrt(np.dot(samples, samples) / len(samples)))
    return max(_SILENCE_DBFS, 20 * float(np.log10(max(rms, 1e-9) / FULL_SCALE)))


def first_audible_sample(pcm: Pcm) -> int | None:
    """Return the index of the first sample above 1 % of full scale, or None."""
    loud = np.abs(pcm.astype(np.int32)) > AUDIBLE_LEVEL
    return int(loud.argmax()) if loud.any() else None


def last_audible_sample(pcm: Pcm) -> int | None:
    """Return the index of the last sample above 1 % of full scale, or None."""
    found = first_audible_sample(pcm[::-1])
    return None if found is None else len(pcm) - 1 - found


def voiced_span(pcm: Pcm) -> tuple[int, int] | None:
    """Return the first and the last sample above 1 % of the clip's own peak; None for digital silence."""
    magnitude = np.abs(pcm.astype(np.int32))
    peak = int(magnitude.max(initial=0))
    if peak == 0:
        return None
    voiced = np.flatnonzero(magnitude > VOICED_SHARE_OF_PEAK * peak)
    return int(voiced[0]), int(voiced[-1])
