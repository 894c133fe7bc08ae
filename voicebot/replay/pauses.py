"""Pauses put into speech, as of somebody who stops to think in the middle of a sentence."""

from __future__ import annotations

from typing import Final

import numpy as np

from voicebot.audio import Pcm, samples_from_ms, voiced_span
from voicebot.audio_io.acoustics import white_noise

_NEAR_SAMPLES: Final = samples_from_ms(60)
_WINDOW_SAMPLES: Final = samples_from_ms(20)
_EDGE_SAMPLES: Final = samples_from_ms(250)
_FADE_SAMPLES: Final = samples_from_ms(8)
_ROOM_DBFS: Final = -80.0


def quietest_sample(pcm: Pcm, near_sample: int) -> int | None:
    """Return the middle of the quietest 20 ms within 60 ms of a sample; None within 250 ms of the speech's ends."""
    span = voiced_span(pcm)
    if span is None or not span[0] + _EDGE_SAMPLES <= near_sample <= span[1] - _EDGE_SAMPLES:
        return None
    start = near_sample - _NEAR_SAMPLES
    power = np.square(pcm[start : near_sample + _NEAR_SAMPLES].astype(np.float64))
    return start + int(np.convolve(power, np.ones(_WINDOW_SAMPLES), "valid").argmin()) + _WINDOW_SAMPLES // 2


def parted(pcm: Pcm, at_sample: int) -> tuple[Pcm, Pcm]:
    """Return what is before and after a sample, each faded over 8 ms at the cut."""
    ramp = np.linspace(1, 0, _FADE_SAMPLES)
    before, after = pcm[:at_sample].astype(np.float64), pcm[at_sample:].astype(np.float64)
    before[-_FADE_SAMPLES:] *= ramp[-len(before) :]
    after[:_FADE_SAMPLES] *= ramp[::-1][: len(after)]
    return before.astype(np.int16), after.astype(np.int16)


def with_pause(pcm: Pcm, at_sample: int, pause_ms: float, seed: int = 1) -> Pcm:
    """Return the clip with a pause at a sample: a room's noise of -80 dBFS for as long."""
    before, after = parted(pcm, at_sample)
    return np.concatenate((before, white_noise(samples_from_ms(pause_ms), _ROOM_DBFS, seed), after))
