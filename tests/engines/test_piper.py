"""Piper for real: clauses become audio at one loudness, and a run can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import FULL_SCALE, Pcm, first_audible_sample, level_dbfs, ms_from_samples, samples_from_ms
from voicebot.config.pipeline import TtsSettings
from voicebot.engines.piper import PiperEngine
from voicebot.errors import CancelledWorkError, EngineError
from voicebot.workers.flags import CancelFlag

SENTENCE = "The capital of France is Paris."
LONG = "This sentence goes on and on, and then on for a while, so that there is something to stop in the middle. " * 3


def speak(engine: PiperEngine, text: str, cancel: CancelFlag, *, first: bool = True) -> Pcm:
    return np.concatenate([np.zeros(0, np.int16), *engine.synthesize(text, first=first, cancel=cancel)])


@pytest.fixture(scope="session")
def steady(voice_file: Path) -> PiperEngine:
    """The voice without its randomness."""
    return PiperEngine(voice_file, TtsSettings(noise=0, rhythm_noise=0), threads=2)


def test_a_sentence_is_audio_of_a_plausible_length(piper: PiperEngine, cancel: CancelFlag) -> None:
    (pcm,) = piper.synthesize(SENTENCE, first=True, cancel=cancel)
    assert pcm.dtype == np.int16
    assert pcm.ndim == 1
    assert 1200 < ms_from_samples(len(pcm)) < 3500
    assert -35 < level_dbfs(pcm) < -12


def test_longer_text_is_longer_audio_and_speed_shortens_it(
    steady: PiperEngine, voice_file: Path, cancel: CancelFlag
) -> None:
    texts = ["Yes.", SENTENCE, f"{SENTENCE[:-1]}, and it has been so for many years."]
    lengths = [len(speak(steady, text, cancel)) for text in texts]
    assert all(shorter < longer for shorter, longer in pairwise(lengths))
    fast = PiperEngine(voice_file, TtsSettings(noise=0, rhythm_noise=0, speed=2), threads=2)
    assert len(speak(fast, SENTENCE, cancel)) < 0.65 * lengths[1]


def test_each_sentence_comes_by_itself_and_only_the_very_first_is_trimmed(
    piper: PiperEngine, cancel: CancelFlag
) -> None:
    kept = samples_from_ms(10)
    sentences = piper.synthesize("Hello there. How are you?", first=True, cancel=cancel)
    starts = [first_audible_sample(pcm) for pcm in sentences]
    assert len(starts) == 2
    assert starts[0] == kept
    assert starts[1] is not None
    assert starts[1] > kept
    later = first_audible_sample(speak(piper, SENTENCE, cancel, first=False))
    assert later is not None
    assert later > kept


def test_the_gain_is_the_same_for_every_clause(steady: PiperEngine, voice_file: Path, cancel: CancelFlag) -> None:
    quiet = PiperEngine(voice_file, TtsSettings(noise=0, rhythm_noise=0, gain=0.25), threads=2)
    clauses = ["Paris.", SENTENCE, f"As far as I know, {SENTENCE.lower()}"]
    full, quarter = ([speak(engine, text, cancel) for text in clauses] for engine in (steady, quiet))
    # Levelled each by itself, every clause would reach full scale.
    assert all(np.abs(pcm.astype(int)).max() < 0.98 * FULL_SCALE for pcm in full)
    levels = [level_dbfs(pcm) for pcm in full]
    assert max(levels) - min(levels) < 6
    for one, other in zip(levels, map(level_dbfs, quarter), strict=True):
        assert one - other == pytest.approx(12.04, abs=0.5)


def test_a_run_is_cancelled_from_another_thread(piper: PiperEngine, cancel: CancelFlag) -> None:
    running = threading.Event()
    whole_run = piper._session.run

    def observed_run(*arguments: object) -> object:
        running.set()
        return whole_run(*arguments)  # type: ignore[arg-type]

    def stop() -> None:
        running.wait()
        cancel.request()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(piper._session, "run", observed_run)
        with pytest.raises(CancelledWorkError):
            speak(piper, LONG.replace(".", ","), cancel)
    thread.join()
    cancel.clear()
    assert len(speak(piper, SENTENCE, cancel)) > samples_from_ms(1200)


def test_a_cancel_between_sentences_is_seen(piper: PiperEngine, cancel: CancelFlag) -> None:
    stream = piper.synthesize("Hello there. How are you?", first=True, cancel=cancel)
    next(stream)
    cancel.request()
    with pytest.raises(CancelledWorkError):
        next(stream)
    cancel.clear()
    assert len(speak(piper, SENTENCE, cancel)) > samples_from_ms(1200)


def test_what_was_cancelled_before_it_began_is_not_made(piper: PiperEngine, cancel: CancelFlag) -> None:
    cancel.request()
    with pytest.raises(CancelledWorkError):
        speak(piper, LONG, cancel)


def test_the_end_of_one_request_does_not_stop_the_next(piper: PiperEngine, cancel: CancelFlag) -> None:
    stream = piper.synthesize("Hello there. How are you?", first=True, cancel=cancel)
    next(stream)
    del stream
    assert len(speak(piper, SENTENCE, cancel)) > samples_from_ms(1200)


@pytest.mark.parametrize("text", ["", "   ", "...", "[[", "\u200b"])
def test_what_has_no_sound_gives_no_audio(piper: PiperEngine, cancel: CancelFlag, text: str) -> None:
    assert len(speak(piper, text, cancel)) == 0


@pytest.mark.parametrize("text", ["\N{GRINNING FACE}", "!?", "日本語", "<b>&", "12:30", "a\nb", "Ω≈ç√"])
def test_odd_text_is_no_error(piper: PiperEngine, cancel: CancelFlag, text: str) -> None:
    assert ms_from_samples(len(speak(piper, text, cancel))) < 10_000


def test_a_speaker_that_the_voice_lacks_is_refused(voice_file: Path) -> None:
    with pytest.raises(EngineError, match=r"has 1 speakers; tts\.speaker must be below that\.$"):
        PiperEngine(voice_file, TtsSettings(speaker=1), threads=1)


@pytest.mark.parametrize("suffix", ["", ".json"])
def test_a_damaged_voice_is_refused_in_one_sentence(
    voice_file: Path, damaged: Callable[[Path, str], Path], suffix: str
) -> None:
    folder = damaged(voice_file.parent, voice_file.name + suffix)
    with pytest.raises(EngineError, match=r"\.onnx.* \(.*\)\.$") as caught:
        PiperEngine(folder / voice_file.name, TtsSettings(), threads=1)
    assert "\n" not in str(caught.value)
