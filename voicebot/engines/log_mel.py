"""Whisper's log-mel spectrogram (Radford et al. 2022, arXiv 2212.04356, section 2.2), with numpy alone."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from voicebot.audio import SAMPLE_RATE_HZ

Floats = NDArray[np.float32]

MEL_BANDS: Final = 80
HOP_SAMPLES: Final = 160
_WINDOW_SAMPLES: Final = 400
_HALF_WINDOW: Final = _WINDOW_SAMPLES // 2
_LEAST_POWER: Final = 1e-10
_RANGE_BELS: Final = 8.0
# Slaney's mel scale: linear up to 1 kHz, which is mel 15, and from there a factor of 6.4 every 27 mels.
_KNEE_HZ: Final = 1000.0
_KNEE_MEL: Final = 15.0
_MELS_PER_NEPER: Final = 27 / np.log(6.4)


def log_mel(wave: Floats, constant_samples: int = 0) -> Floats:
    """Return (log10 of the power + 4) / 4, shape (80, len(wave) // 160), of 16 kHz mono audio.

    Frames are 25 ms long, every 10 ms, centred. What lies more than 80 dB below the loudest point is raised to there.
    The first `constant_samples` samples are known to be all the same, as padding is: their frames are all alike, and
    one of them is transformed for all.
    """
    repeated = max(0, constant_samples - _HALF_WINDOW - 1) // HOP_SAMPLES
    count = len(wave) // HOP_SAMPLES - repeated
    padded = np.pad(wave, _HALF_WINDOW, mode="reflect")
    frames = sliding_window_view(padded, _WINDOW_SAMPLES)[repeated * HOP_SAMPLES :: HOP_SAMPLES][:count]
    spectrum = np.fft.rfft(frames * _HANN)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    bels = np.log10(np.maximum(_FILTERS @ power.T, _LEAST_POWER))
    scaled: Floats = (np.maximum(bels, bels.max() - _RANGE_BELS) + 4) / 4
    return np.concatenate([np.repeat(scaled[:, :1], repeated, axis=1), scaled], axis=1)


def mel_filters() -> Floats:
    """Return what each of 201 frequencies adds to each of 80 mel bands: triangles of equal area, shape (80, 201)."""
    frequencies_hz = np.fft.rfftfreq(_WINDOW_SAMPLES, 1 / SAMPLE_RATE_HZ)
    highest_mel = _KNEE_MEL + _MELS_PER_NEPER * np.log(SAMPLE_RATE_HZ / 2 / _KNEE_HZ)
    edges_hz = _hz_from_mel(np.linspace(0, highest_mel, MEL_BANDS + 2))[:, None]
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (frequencies_hz - low) / (centre - low)
    falling = (high - frequencies_hz) / (high - centre)
    triangles = np.clip(np.minimum(rising, falling), 0, None)
    return (triangles * 2 / (high - low)).astype(np.float32)


def _hz_from_mel(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mels * (_KNEE_HZ / _KNEE_MEL)
    logarithmic = _KNEE_HZ * np.exp((mels - _KNEE_MEL) / _MELS_PER_NEPER)
    return np.where(mels < _KNEE_MEL, linear, logarithmic)


_FILTERS: Final = mel_filters()
_HANN: Final = np.hanning(_WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
