"""Piper for real: clauses become audio at one loudness, words have their times, and a run can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebot.audio import (
    FULL_SCALE,
    Pcm,
    first_audible_sample,
    last_audible_sample,
    level_dbfs,
    ms_from_samples,
    samples_from_ms,
)
from voicebot.config.pipeline import TtsSettings
from voicebot.engines.piper import PiperEngine
from voicebot.engines.piper.graphs import Inputs, Sentence
from voicebot.engines.protocols import Speech
from voicebot.errors import CancelledWorkError, EngineError
from voicebot.workers.flags import CancelFlag

SENTENCE = "The capital of France is Paris."
LONG = "This clause goes on and on, and then on for a while, so that there is something to stop in the middle."


def joined(pieces: Sequence[Speech]) -> Pcm:
    return np.concatenate([np.zeros(0, np.int16), *(speech.pcm for speech in pieces)])


def speak(engine: PiperEngine, text: str, cancel: CancelFlag, *, first: bool = True) -> Pcm:
    return joined(list(engine.synthesize(text, first=first, cancel=cancel)))


@pytest.fixture(scope="module")
def uncut_file(voice_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The voice without its parts."""
    folder = tmp_path_factory.mktemp("uncut")
    for name in (voice_file.name, f"{voice_file.name}.json"):
        (folder / name).symlink_to(voice_file.with_name(name))
    return folder / voice_file.name


@pytest.fixture(scope="module")
def uncut(uncut_file: Path) -> PiperEngine:
    """That voice without its randomness."""
    return PiperEngine(uncut_file, TtsSettings(noise=0, rhythm_noise=0), threads=2)


def test_a_sentence_is_audio_of_a_plausible_length(piper: PiperEngine, cancel: CancelFlag) -> None:
    pieces = list(piper.synthesize(SENTENCE, first=True, cancel=cancel))
    assert all(piece.pcm.dtype == np.int16 and piece.pcm.ndim == 1 for piece in pieces)
    pcm = joined(pieces)
    assert 1200 < ms_from_samples(len(pcm)) < 3500
    assert -35 < level_dbfs(pcm) < -12


def test_the_first_sound_comes_before_the_rest_is_made(steady: PiperEngine, cancel: CancelFlag) -> None:
    lengths_ms = [ms_from_samples(len(speech.pcm)) for speech in steady.synthesize(LONG, first=True, cancel=cancel)]
    assert 60 <= lengths_ms[0] < 250
    assert len(lengths_ms) >= 5
    assert 3 * lengths_ms[0] < sum(lengths_ms)


def test_window_by_window_it_sounds_as_the_whole_voice_does(
    steady: PiperEngine, uncut: PiperEngine, cancel: CancelFlag
) -> None:
    for text in ("Yes.", SENTENCE, f"Hello there. {LONG}"):
        windows, once = (speak(engine, text, cancel).astype(float) for engine in (steady, uncut))
        assert len(windows) == len(once)
        # Rounding to int16 comes after resampling, so a sample may differ by one: 60 dB and more below speech.
        assert 10 * np.log10(np.sum(once**2) / max(1e-9, np.sum((once - windows) ** 2))) > 60


def test_longer_text_is_longer_audio_and_speed_shortens_it(
    steady: PiperEngine, voice_file: Path, cancel: CancelFlag
) -> None:
    texts = ["Yes.", SENTENCE, f"{SENTENCE[:-1]}, and it has been so for many years."]
    lengths = [len(speak(steady, text, cancel)) for text in texts]
    assert all(shorter < longer for shorter, longer in pairwise(lengths))
    fast = PiperEngine(voice_file, TtsSettings(noise=0, rhythm_noise=0, speed=2), threads=2)
    assert len(speak(fast, SENTENCE, cancel)) < 0.65 * lengths[1]


def test_only_the_very_first_sentence_of_a_reply_is_trimmed(steady: PiperEngine, cancel: CancelFlag) -> None:
    kept = samples_from_ms(10)
    text = "Hello there. How are you?"
    trimmed, untrimmed = (speak(steady, text, cancel, first=first) for first in (True, False))
    assert first_audible_sample(trimmed) == kept
    start = first_audible_sample(untrimmed)
    assert start is not None
    assert start > kept
    np.testing.assert_array_equal(trimmed, untrimmed[start - kept :])


class LateGraph:
    """Says a tone for every phoneme, after half a second of silence."""

    def __init__(self, *, knows_durations: bool) -> None:
        self.begun_at: list[int] = []
        self._knows_durations = knows_durations

    def speak(self, inputs: Inputs, cancel: CancelFlag) -> Sentence:
        del cancel
        durations = np.full(inputs["input"].shape[1], 1000)
        durations[:2] = (11_000, 25)
        audio = np.sin(np.arange(durations.sum()) / 10).astype(np.float32)
        audio[:11_025] = 0

        def audio_from(start: int) -> Iterator[NDArray[np.float32]]:
            self.begun_at.append(start)
            yield audio[start:]

        return Sentence(durations if self._knows_durations else None, audio_from)


def test_a_long_silence_before_the_first_word_is_not_even_made(
    uncut_file: Path, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = PiperEngine(uncut_file, TtsSettings(), threads=1)

    def spoken_by(graph: LateGraph) -> list[Speech]:
        monkeypatch.setattr(engine, "_graph", graph)
        return list(engine.synthesize("So. So.", first=True, cancel=cancel))

    knowing, guessing = LateGraph(knows_durations=True), LateGraph(knows_durations=False)
    known = spoken_by(knowing)
    np.testing.assert_allclose(joined(known), joined(spoken_by(guessing)), atol=1)
    assert knowing.begun_at == [8820, 0]
    assert guessing.begun_at == [0, 0]
    # Three sounds and their stress, each with a pad, after the 10 ms that are kept.
    (end,) = known[0].word_ends
    assert end == pytest.approx(160 + 8000 * 16_000 / 22_050, abs=2)


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


@pytest.mark.parametrize(
    "text",
    [SENTENCE, "Hello there. How are you? Fine!", "In 2024, 15 of the 20 - yes, 15 - were at www.example.com.", LONG],
)
def test_every_word_has_an_end_in_order(piper: PiperEngine, cancel: CancelFlag, text: str) -> None:
    pieces = list(piper.synthesize(text, first=True, cancel=cancel))
    ends = [end for speech in pieces for end in speech.word_ends]
    pcm = joined(pieces)
    assert len(ends) == len(text.split())
    assert ends == sorted(ends)
    assert pieces[0].word_ends
    last = last_audible_sample(pcm)
    assert last is not None
    assert abs(ends[-1] - last) < samples_from_ms(150)
    assert ends[-1] <= len(pcm)


def test_the_words_of_a_sentence_come_with_its_first_sound(piper: PiperEngine, cancel: CancelFlag) -> None:
    made = 0
    told = []
    for speech in piper.synthesize("Hello there. How are you? Fine!", first=True, cancel=cancel):
        assert all(end > made for end in speech.word_ends)
        told.append(len(speech.word_ends))
        made += len(speech.pcm)
    assert [count for count in told if count] == [2, 3, 1]


@pytest.mark.parametrize("first", [True, False])
def test_a_word_before_a_pause_ends_where_the_pause_begins(
    piper: PiperEngine, cancel: CancelFlag, *, first: bool
) -> None:
    text = "Paris, London, Rome. No. Yes, indeed."
    pieces = list(piper.synthesize(text, first=first, cancel=cancel))
    ends = [end for speech in pieces for end in speech.word_ends]
    pcm = joined(pieces)
    step = samples_from_ms(10)
    quiet = [level_dbfs(pcm[at : at + step]) < -50 for at in range(0, len(pcm) - step, step)]
    begins = [
        index * step for index in range(1, len(quiet) - 6) if all(quiet[index : index + 6]) and not quiet[index - 1]
    ]
    for end in ends[:5]:
        assert min(abs(begin - end) for begin in begins) < samples_from_ms(80)


def test_a_voice_that_is_not_cut_knows_no_words(uncut: PiperEngine, cancel: CancelFlag) -> None:
    assert all(speech.word_ends == () for speech in uncut.synthesize(SENTENCE, first=True, cancel=cancel))


@pytest.mark.parametrize("part", ["_encoder", "_decoder"])
def test_a_run_is_cancelled_from_another_thread(piper: PiperEngine, cancel: CancelFlag, part: str) -> None:
    running = threading.Event()
    session = getattr(piper._graph, part)
    whole_run = session.run

    def observed_run(*arguments: object) -> object:
        running.set()
        return whole_run(*arguments)

    def stop() -> None:
        running.wait()
        cancel.request()

    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "run", observed_run)
        with pytest.raises(CancelledWorkError):
            speak(piper, LONG, cancel)
    thread.join()
    cancel.clear()
    assert len(speak(piper, SENTENCE, cancel)) > samples_from_ms(1200)


@pytest.mark.parametrize("text", [LONG, "Yes. How are you?"])
def test_a_cancel_between_windows_and_sentences_is_seen(piper: PiperEngine, cancel: CancelFlag, text: str) -> None:
    stream = piper.synthesize(text, first=True, cancel=cancel)
    next(stream)
    cancel.request()
    with pytest.raises(CancelledWorkError):
        list(stream)
    cancel.clear()
    assert len(speak(piper, SENTENCE, cancel)) > samples_from_ms(1200)


def test_what_was_cancelled_before_it_began_is_not_made(piper: PiperEngine, cancel: CancelFlag) -> None:
    cancel.request()
    with pytest.raises(CancelledWorkError):
        speak(piper, LONG, cancel)


def test_the_end_of_one_request_does_not_stop_the_next(piper: PiperEngine, cancel: CancelFlag) -> None:
    stream = piper.synthesize(LONG, first=True, cancel=cancel)
    next(stream)
    del stream
    assert len(speak(piper, SENTENCE, cancel)) > samples_from_ms(1200)


@pytest.mark.parametrize("text", ["", "   ", "...", "[[", "\u200b"])
def test_what_has_no_sound_gives_no_audio(piper: PiperEngine, cancel: CancelFlag, text: str) -> None:
    assert len(speak(piper, text, cancel)) == 0


@pytest.mark.parametrize(
    "text", ["\N{GRINNING FACE}", "!?", "日本語", "<b>&", "12:30", "a\nb", "Ω≈ç√", "[[ həloʊ ]] you"]
)
def test_odd_text_is_no_error(piper: PiperEngine, cancel: CancelFlag, text: str) -> None:
    pieces = list(piper.synthesize(text, first=True, cancel=cancel))
    assert ms_from_samples(len(joined(pieces))) < 10_000
    ends = [end for speech in pieces for end in speech.word_ends]
    assert ends == sorted(ends)
    assert len(ends) in {0, len(text.split())}


def test_a_speaker_that_the_voice_lacks_is_refused(voice_file: Path) -> None:
    with pytest.raises(EngineError, match=r"has 1 speakers; tts\.speaker must be below that\.$"):
        PiperEngine(voice_file, TtsSettings(speaker=1), threads=1)


@pytest.mark.parametrize("suffix", ["", ".json"])
def test_a_damaged_voice_is_refused_in_one_sentence(
    uncut_file: Path, damaged: Callable[[Path, str], Path], suffix: str
) -> None:
    folder = damaged(uncut_file.parent, uncut_file.name + suffix)
    with pytest.raises(EngineError, match=r"\.onnx.* \(.*\)\.$") as caught:
        PiperEngine(folder / uncut_file.name, TtsSettings(), threads=1)
    assert "\n" not in str(caught.value)
