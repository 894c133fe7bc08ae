"""Pauses put into speech, as of somebody who stops to think in the middle of a sentence."""

from __future__ import annotations

from typing import Final

import numpy as np

from voicebot.audio import Pcm, samples_from_ms, voiced_span
from voicebot.audio_io.acoustics import white_noise

_STEP_SAMPLES: Final = samples_from_ms(10)
_WINDOW_STEPS: Final = 4
_APART_STEPS: Final = 8
_DIP: Final = 0.25  # of the power around
_EDGE_SAMPLES: Final = samples_from_ms(250)
_FADE_SAMPLES: Final = samples_from_ms(8)
_ROOM_DBFS: Final = -80.0


def quiet_moments(pcm: Pcm) -> list[int]:
    """Return the samples of a clip's dips: between words, and inside some of them.

    A dip is quieter than anything within 80 ms, and 6 dB quieter than the loudest moment there. None is within 250 ms
    of where speech begins or ends. The caller finds out which are between words.
    """
    span = voiced_span(pcm)
    if span is None:
        return []
    power = np.square(pcm[: len(pcm) // _STEP_SAMPLES * _STEP_SAMPLES].astype(np.float64))
    steps = power.reshape(-1, _STEP_SAMPLES).mean(axis=1)
    smooth = np.convolve(steps, np.ones(_WINDOW_STEPS), "same")
    found = []
    for step in range(len(smooth)):
        sample = step * _STEP_SAMPLES
        around = smooth[max(0, step - _APART_STEPS) : step + _APART_STEPS + 1]
        inside = span[0] + _EDGE_SAMPLES <= sample <= span[1] - _EDGE_SAMPLES
        if inside and smooth[step] == around.min() < _DIP * around.max():
            found.append(sample)
    return found


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
