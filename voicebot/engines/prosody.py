"""How an utterance ends: where its pitch goes, and how fast its last sound fades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from voicebot.audio import SAMPLE_RATE_HZ, VOICED_SHARE_OF_PEAK, Pcm, samples_from_ms

Floats = NDArray[np.float32]

LONGEST_MS: Final = 8000
_HOP_MS: Final = 10
_HOP_SAMPLES: Final = samples_from_ms(_HOP_MS)
_FRAME_SAMPLES: Final = samples_from_ms(40)

_NOISE_PERCENTILE: Final = 5
_SOUND_OVER_NOISE: Final = 5.0
"""No sample of a second of Gaussian noise is that many times its RMS."""
_MOST_NOISE_SHARE: Final = 0.1
"""Of the peak; in audio without a quiet moment, what is quietest is speech."""

_SHORTEST_LAG: Final = SAMPLE_RATE_HZ // 350
_LAGS: Final = SAMPLE_RATE_HZ // 65
_FFT_SAMPLES: Final = 900
"""A length that transforms fast, and so long that within the lags the correlation does not wrap round."""
_FRAMES_AT_ONCE: Final = 64
"""What they take stays in the cache, which halves the time."""
_VOICED: Final = 0.55
_LEAST_POWER: Final = 100.0
"""Of a frame that may be voiced: 70 dB below full scale."""
_SEARCHED_FRAMES: Final = 400 // _HOP_MS
_LAST_FRAMES: Final = 60 // _HOP_MS

_ACTIVE_DB: Final = 30.0
_FADED_DB: Final = 10.0


@dataclass(frozen=True, slots=True)
class Prosody:
    """Of the end of an utterance."""

    pitch_semitones: float
    """Of the last voiced sound, relative to the middle of the utterance; 0 when there is none."""
    decay_ms: float
    """How long the last sound took to fade: since the level was within 10 dB of the utterance's."""


def prosody_at_end(pcm: Pcm) -> Prosody:
    """Measure an utterance of 16 kHz mono int16, of which the last 8 s count.

    Quiet before and after it is left out. One shorter than a frame of 40 ms has neither pitch nor decay.
    """
    spoken = _without_quiet(pcm[-samples_from_ms(LONGEST_MS) :].astype(np.float32))
    if len(spoken) < _FRAME_SAMPLES:
        return Prosody(0.0, 0.0)
    frames = sliding_window_view(spoken, _FRAME_SAMPLES)[::_HOP_SAMPLES]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.square(frames).mean(axis=1)
    return Prosody(_last_semitones(_pitches_hz(frames, power)), _decay_ms(power))


def _without_quiet(wave: Floats) -> Floats:
    """Return the wave from its first to its last sample that stands out from silence and from steady noise."""
    magnitude = np.abs(wave)
    peak = magnitude.max(initial=0)
    blocks = wave[: len(wave) // _HOP_SAMPLES * _HOP_SAMPLES].reshape(-1, _HOP_SAMPLES)
    if peak == 0 or len(blocks) == 0:
        return wave[:0]
    power = np.square(blocks).mean(axis=1)
    noise = np.sqrt(np.percentile(power[power > 0], _NOISE_PERCENTILE))  # zeros stand for audio that there is not
    floor = np.clip(_SOUND_OVER_NOISE * noise, VOICED_SHARE_OF_PEAK * peak, _MOST_NOISE_SHARE * peak)
    audible = np.flatnonzero(magnitude > floor)
    return wave[audible[0] : audible[-1] + 1]


def _pitches_hz(frames: Floats, power: Floats) -> Floats:
    """Return the pitch of each frame, from 65 to 350 Hz; 0 where it is unvoiced.

    It is where the autocorrelation of the windowed frame, divided by that of the window, is highest: Boersma 1993,
    "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled sound".
    """
    pitches = np.zeros(len(frames), np.float32)
    audible = np.flatnonzero(power >= _LEAST_POWER)
    for start in range(0, len(audible), _FRAMES_AT_ONCE):
        some = audible[start : start + _FRAMES_AT_ONCE]
        correlation = _autocorrelation(frames[some] * _HANN) / _HANN_CORRELATION
        lags = _SHORTEST_LAG + correlation[:, _SHORTEST_LAG:].argmax(axis=1)
        voiced = np.take_along_axis(correlation, lags[:, None], axis=1)[:, 0] > _VOICED
        pitches[some[voiced]] = SAMPLE_RATE_HZ / lags[voiced]
    return pitches


def _autocorrelation(frames: Floats) -> Floats:
    """Return the autocorrelation of each frame relative to lag 0, for every lag up to the longest period."""
    spectrum = np.fft.rfft(frames, _FFT_SAMPLES)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, _FFT_SAMPLES)[:, :_LAGS]
    return (correlation / correlation[:, :1]).astype(np.float32, copy=False)


def _last_semitones(pitches: Floats) -> float:
    late = pitches[-_SEARCHED_FRAMES:]
    last = late[late > 0][-_LAST_FRAMES:]
    if len(last) == 0:
        return 0.0
    return 12 * float(np.log2(np.median(last) / np.median(pitches[pitches > 0])))


def _decay_ms(power: Floats) -> float:
    level_db = 10 * np.log10(power + 1)
    active = power[level_db > level_db.max() - _ACTIVE_DB]
    loud = np.flatnonzero(level_db > 10 * np.log10(active.mean() + 1) - _FADED_DB)
    return float((len(power) - 1 - loud[-1]) * _HOP_MS)


_HANN: Final = np.hanning(_FRAME_SAMPLES).astype(np.float32)
_HANN_CORRELATION: Final = _autocorrelation(_HANN[None])
