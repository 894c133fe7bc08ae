"""The wake word for real, said by the shipped voice: heard in every breath, and in nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import FRAME_SAMPLES, FULL_SCALE, Pcm, samples_from_ms, silence
from voicebot.audio_io.wav import read_wav
from voicebot.config.pipeline import TtsSettings
from voicebot.config.wake import WakeSettings
from voicebot.engines.piper import PiperEngine
from voicebot.engines.protocols import Cancel
from voicebot.engines.wake_word import MicroWakeWordDetector
from voicebot.engines.whisper import FasterWhisper

FIXTURES = Path(__file__).parents[2] / "fixtures"
OTHER_SPEECH = sorted(
    path for folder in ("clips", "conversation", "human", "questions") for path in (FIXTURES / folder).glob("*.wav")
)
PAUSE = silence(samples_from_ms(500))


@pytest.fixture(scope="module")
def detector() -> MicroWakeWordDetector:
    return MicroWakeWordDetector(WakeSettings())


@pytest.fixture(scope="module")
def steady(voice_file: Path) -> PiperEngine:
    """The shipped voice, which says a text the same way every time."""
    return PiperEngine(voice_file, TtsSettings(noise=0, rhythm_noise=0), threads=2)


def said(piper: PiperEngine, cancel: Cancel, text: str) -> tuple[Pcm, tuple[int, ...]]:
    """Return a text's audio between pauses, and where in it the words end."""
    parts = list(piper.synthesize(text, first=True, cancel=cancel))
    ends = tuple(len(PAUSE) + end for part in parts for end in part.word_ends)
    return np.concatenate([PAUSE, *(part.pcm for part in parts), PAUSE]), ends


def noticed(detector: MicroWakeWordDetector, pcm: Pcm) -> list[int]:
    """Return where the word was noticed, from the beginning of a stream."""
    detector.reset()
    frames = range(0, len(pcm) - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    return [at + FRAME_SAMPLES for at in frames if detector.hears(pcm[at : at + FRAME_SAMPLES])]


@pytest.mark.parametrize("word", ["okay_nabu", "hey_jarvis", "hey_mycroft", "alexa"])
def test_each_word_is_noticed_once_and_only_by_its_own_model(word: str, steady: PiperEngine, cancel: Cancel) -> None:
    pcm, ends = said(steady, cancel, word.replace("_", " ").title() + ".")
    for name in ("okay_nabu", "hey_jarvis", "hey_mycroft", "alexa"):
        settings = WakeSettings.model_validate({"word": name, "sensitivity": 0.8})
        found = noticed(MicroWakeWordDetector(settings), pcm)
        assert len(found) == (name == word)
        assert all(abs(at - ends[-1]) < samples_from_ms(300) for at in found)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ("what is the capital of France?", ["what", "capital", "france"]),
        ("set a timer for ten minutes.", ["set", "timer", "minutes"]),
        ("turn on the light.", ["turn", "on", "light"]),
    ],
)
def test_a_request_in_the_same_breath_keeps_its_words_and_loses_the_name(
    request_: str,
    words: list[str],
    detector: MicroWakeWordDetector,
    steady: PiperEngine,
    whisper: FasterWhisper,
    cancel: Cancel,
) -> None:
    pcm, _ = said(steady, cancel, f"Okay Nabu, {request_}")
    (at,) = noticed(detector, pcm)
    text = whisper.transcribe(pcm[at - detector.late_samples :], cancel).text.lower()
    assert [word for word in words if word not in text] == []
    assert "nabu" not in text
    assert "okay" not in text


@pytest.mark.parametrize("recording", OTHER_SPEECH, ids=lambda path: path.stem)
def test_other_speech_is_not_the_word(recording: Path, detector: MicroWakeWordDetector) -> None:
    assert noticed(detector, read_wav(recording)) == []


def test_noise_is_not_the_word(detector: MicroWakeWordDetector) -> None:
    wave = np.random.default_rng(3).standard_normal(160_000) * FULL_SCALE * 0.1
    assert noticed(detector, wave.astype(np.int16)) == []


def test_after_a_reset_half_a_word_is_forgotten(
    detector: MicroWakeWordDetector, steady: PiperEngine, cancel: Cancel
) -> None:
    pcm, ends = said(steady, cancel, "Okay Nabu.")
    assert len(noticed(detector, pcm)) == 1
    assert noticed(detector, pcm[: ends[0]]) + noticed(detector, pcm[ends[0] :]) == []


def test_sensitivity_is_how_much_certainty_is_asked_for() -> None:
    cutoffs = [
        MicroWakeWordDetector(WakeSettings(sensitivity=sensitivity))._word.probability_cutoff
        for sensitivity in (0.25, 0.5, 1.0)
    ]
    assert cutoffs == pytest.approx([0.925, 0.85, 0.7])
