"""The spectrogram is Whisper's, and padding is not transformed again and again."""

from __future__ import annotations

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from voicebot.audio import FULL_SCALE, SAMPLE_RATE_HZ, Pcm
from voicebot.engines.log_mel import HOP_SAMPLES, MEL_BANDS, Floats, log_mel, mel_filters

BOUNDARIES = (0, 1, 199, 200, 201, 202, 360, 361, 362, 15_999, 16_000)


def as_floats(pcm: Pcm) -> Floats:
    return (pcm / FULL_SCALE).astype(np.float32)


def tone(frequency_hz: float, amplitude: float = 0.1) -> Floats:
    phase = np.arange(SAMPLE_RATE_HZ) * (2 * np.pi * frequency_hz / SAMPLE_RATE_HZ)
    wave: Floats = (amplitude * np.sin(phase)).astype(np.float32)
    return wave


def test_the_filters_are_whispers() -> None:
    np.testing.assert_allclose(mel_filters(), FeatureExtractor(MEL_BANDS).mel_filters, atol=1e-8)


def test_speech_looks_as_whisper_sees_it(questions: dict[str, Pcm]) -> None:
    for pcm in questions.values():
        wave = as_floats(pcm[: len(pcm) // HOP_SAMPLES * HOP_SAMPLES])
        np.testing.assert_allclose(log_mel(wave), FeatureExtractor(MEL_BANDS)(wave, padding=0), atol=1e-4)


@pytest.mark.parametrize("constant_samples", BOUNDARIES)
def test_frames_of_padding_are_what_they_would_be_by_themselves(constant_samples: int) -> None:
    wave = tone(300)
    wave[:constant_samples] = -0.02
    spectrogram = log_mel(wave, constant_samples)
    assert spectrogram.shape == (MEL_BANDS, 100)
    np.testing.assert_allclose(spectrogram, log_mel(wave), atol=1e-5)


def test_a_tone_is_loudest_in_the_band_around_it() -> None:
    centres_hz = [int(band.argmax()) * SAMPLE_RATE_HZ / 400 for band in mel_filters()]
    for frequency_hz in (200, 1000, 3000, 6000):
        loudest = int(log_mel(tone(frequency_hz)).mean(axis=1).argmax())
        assert centres_hz[loudest] == pytest.approx(frequency_hz, rel=0.1)


def test_ten_times_the_amplitude_is_half_a_unit_more() -> None:
    quiet, loud = log_mel(tone(1000, 0.05)), log_mel(tone(1000, 0.5))
    assert loud.max() - quiet.max() == pytest.approx(0.5, abs=1e-4)


def test_nothing_is_more_than_80_db_below_the_loudest() -> None:
    spectrogram = log_mel(np.concatenate([tone(1000), np.zeros(SAMPLE_RATE_HZ, np.float32)]))
    assert spectrogram.max() - spectrogram.min() == pytest.approx(2)
    np.testing.assert_allclose(log_mel(np.zeros(SAMPLE_RATE_HZ, np.float32)), -1.5, rtol=1e-6)
