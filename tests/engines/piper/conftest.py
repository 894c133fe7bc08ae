"""The shipped voice without its randomness, and espeak without a voice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from piper.phonemize_espeak import EspeakPhonemizer

from voicebot.config.pipeline import TtsSettings
from voicebot.engines.piper import PiperEngine

Phonemize = Callable[[str], list[list[str]]]


@pytest.fixture(scope="session")
def steady(voice_file: Path) -> PiperEngine:
    return PiperEngine(voice_file, TtsSettings(noise=0, rhythm_noise=0), threads=2)


@pytest.fixture(scope="session")
def phonemize() -> Phonemize:
    """American English to the phonemes of each sentence."""
    phonemizer = EspeakPhonemizer()

    def phonemes(text: str) -> list[list[str]]:
        sentences: list[list[str]] = phonemizer.phonemize("en-us", text)
        return sentences

    return phonemes
