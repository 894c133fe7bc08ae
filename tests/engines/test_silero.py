"""Silero for real: sure of speech, sure of silence, and without memory after a reset."""

from __future__ import annotations

import numpy as np
import pytest

from voicebot.audio import FULL_SCALE, Pcm, silence
from voicebot.engines.silero import SileroDetector


def probabilities(detector: SileroDetector, pcm: Pcm) -> list[float]:
    size = detector.chunk_samples
    return [detector.probability(pcm[at : at + size]) for at in range(0, len(pcm) - size + 1, size)]


def test_it_takes_chunks_of_32_ms() -> None:
    assert SileroDetector().chunk_samples == 512


@pytest.mark.parametrize("question", ["france", "spider", "egg", "joke", "sum"])
def test_speech_is_probable_while_there_is_some(questions: dict[str, Pcm], question: str) -> None:
    pause = silence(16_000)
    found = probabilities(SileroDetector(), np.concatenate([pause, questions[question], pause]))
    assert max(found[:30]) < 0.2
    assert sorted(found)[-15] > 0.8  # half a second of it at the very least
    assert max(found[-15:]) < 0.2


@pytest.mark.parametrize("level_dbfs", [-120, -70, -40])
def test_noise_is_no_speech(level_dbfs: float) -> None:
    wave = np.random.default_rng(3).standard_normal(32_000) * FULL_SCALE * 10 ** (level_dbfs / 20)
    assert max(probabilities(SileroDetector(), wave.astype(np.int16))) < 0.5


def test_after_a_reset_it_is_as_new(questions: dict[str, Pcm]) -> None:
    used = SileroDetector()
    first = probabilities(used, questions["france"])
    used.reset()
    assert probabilities(used, questions["france"]) == first


def test_two_streams_do_not_know_of_each_other(questions: dict[str, Pcm]) -> None:
    alone = probabilities(SileroDetector(), questions["france"])
    one, other = SileroDetector(), SileroDetector()
    noise = np.random.default_rng(3).integers(-3000, 3000, 512).astype(np.int16)
    beside = []
    for at in range(0, len(questions["france"]) - 511, 512):
        beside.append(one.probability(questions["france"][at : at + 512]))
        other.probability(noise)
    assert beside == alone
