"""How an utterance ends: how low its pitch is, how soft its last sound, and how steady."""

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
_CREAK_FRAMES: Final = 60 // _HOP_MS
"""The pitch of the very last sound is often none: a voice creaks as it fades."""
_PITCHED_FRAMES: Final = 200 // _HOP_MS

_ACTIVE_DB: Final = 30.0
_LEVEL_FRAMES: Final = 30 // _HOP_MS
_CHANGE_FRAMES: Final = 100 // _HOP_MS
_BAND_EDGES: Final = np.unique(np.geomspace(4, 430, 21).round().astype(int))
"""In bins of the spectrum, from 70 Hz up: bands that are wider the higher they are, as those of the ear."""
_BAND_FLOOR: Final = 1e3
"""What rounding to 16 bits leaves in a bin; below it changes mean nothing."""
_LEAST_CHANGE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Prosody:
    """Of the end of an utterance."""

    pitch_semitones: float
    """Of the last voiced sound, relative to the middle of the utterance; 0 when there is none."""
    level_db: float
    """Of the last 30 ms, relative to the whole: a voice that is finished fades."""
    change: float
    """How fast the sound changes in the last 100 ms, relative to the whole: a final sound is held."""


NOTHING: Final = Prosody(0.0, 0.0, 1.0)
"""Of a sound too short to have any."""


def prosody_at_end(pcm: Pcm) -> Prosody:
    """Measure an utterance of 16 kHz mono int16, of which the last 8 s count.

    Quiet before and after it is left out. Of one shorter than two frames of 40 ms nothing is known.
    """
    spoken = _without_quiet(pcm[-samples_from_ms(LONGEST_MS) :].astype(np.float32))
    if len(spoken) < 2 * _FRAME_SAMPLES:
        return NOTHING
    frames = sliding_window_view(spoken, _FRAME_SAMPLES)[::_HOP_SAMPLES]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.square(frames).mean(axis=1)
    return Prosody(_last_semitones(_pitches_hz(frames, power)), _last_level_db(power), _last_change(frames))


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
    late = late[late > 0][-_PITCHED_FRAMES:]
    if len(late) == 0:
        return 0.0
    last = late[:-_CREAK_FRAMES] if len(late) > 2 * _CREAK_FRAMES else late[-_CREAK_FRAMES:]
    return 12 * float(np.log2(np.median(last) / np.median(pitches[pitches > 0])))


def _last_level_db(power: Floats) -> float:
    level_db = 10 * np.log10(power + 1)
    active = power[level_db > level_db.max() - _ACTIVE_DB]
    return float(level_db[-_LEVEL_FRAMES:].mean() - 10 * np.log10(active.mean() + 1))


def _last_change(frames: Floats) -> float:
    """Return how much the bands' log power changes from frame to frame at the end, relative to the whole."""
    power = np.square(np.abs(np.fft.rfft(frames * _HANN, _FFT_SAMPLES)))
    bands = np.log(np.add.reduceat(power, _BAND_EDGES, axis=1) + _BAND_FLOOR)
    changes = np.abs(np.diff(bands, axis=0)).mean(axis=1)
    return float(changes[-_CHANGE_FRAMES:].mean() / max(changes.mean(), _LEAST_CHANGE))


_HANN: Final = np.hanning(_FRAME_SAMPLES).astype(np.float32)
_HANN_CORRELATION: Final = _autocorrelation(_HANN[None])
