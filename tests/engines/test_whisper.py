"""Whisper for real: what was said, on a short window as on the full one, and how it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import FULL_SCALE, SAMPLE_RATE_HZ, Pcm, samples_from_ms, silence
from voicebot.bench.wer import normalise
from voicebot.config.pipeline import AsrSettings
from voicebot.engines import whisper as module
from voicebot.engines import whisper_decoder
from voicebot.engines.protocols import Transcript
from voicebot.engines.second_model import SecondModelPace
from voicebot.engines.whisper import FasterWhisper
from voicebot.engines.whisper_decoder import Decoded, Encoded
from voicebot.errors import CancelledWorkError, EngineError
from voicebot.workers.flags import CancelFlag

FRANCE = "what is the capital of france"


def words(transcript: Transcript) -> str:
    return " ".join(normalise(transcript.text))


def noise(samples: int, level_dbfs: float) -> Pcm:
    wave = np.random.default_rng(7).standard_normal(samples) * FULL_SCALE * 10 ** (level_dbfs / 20)
    pcm: Pcm = wave.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return pcm


class Count:
    """Counts how often it is asked; cancels at the time with that number."""

    address = 0

    def __init__(self, cancel_at: int | None = None) -> None:
        self.asked = 0
        self._cancel_at = cancel_at

    def requested(self) -> bool:
        return self.asked == self._cancel_at

    def raise_if_requested(self) -> None:
        self.asked += 1
        if self.requested():
            raise CancelledWorkError("the test cancels.")


@pytest.fixture(scope="session")
def full_window(whisper_folder: Path) -> FasterWhisper:
    return FasterWhisper(whisper_folder, AsrSettings(window_floor_s=30), threads=2)


@pytest.fixture(scope="session")
def small_slices(whisper_folder: Path) -> FasterWhisper:
    return FasterWhisper(whisper_folder, AsrSettings(slice_tokens=4), threads=2)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("france", FRANCE),
        ("spider", "how many legs does a spider have"),
        ("joke", "tell me the joke"),
        ("sum", "what is seventeen plus twenty five"),
    ],
)
def test_the_short_window_hears_the_words_that_the_full_one_hears(
    whisper: FasterWhisper,
    full_window: FasterWhisper,
    questions: dict[str, Pcm],
    cancel: CancelFlag,
    question: str,
    said: str,
) -> None:
    short = whisper.transcribe(questions[question], cancel)
    full = full_window.transcribe(questions[question], cancel)
    assert words(short) == words(full) == said.replace("-", " ")
    assert (short.window_s, short.fallback) == (5.0, False)
    assert (full.window_s, full.fallback) == (30.0, False)


def test_the_model_would_loop_on_the_short_window_if_nobody_looked(
    whisper: FasterWhisper, questions: dict[str, Pcm], cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in (module, whisper_decoder):
        monkeypatch.setattr(one, "without_loop", lambda _: None)
        monkeypatch.setattr(one, "stutters", lambda _: False)
    monkeypatch.setattr(module, "too_many_words", lambda *_: False)
    assert words(whisper.transcribe(questions["france"], cancel)).count("the capital of france") > 1


def test_what_was_really_said_twice_is_heard_twice(
    whisper: FasterWhisper, questions: dict[str, Pcm], cancel: CancelFlag
) -> None:
    twice = np.concatenate([questions["france"], silence(samples_from_ms(400)), questions["france"]])
    assert words(whisper.transcribe(twice, cancel)) == f"{FRANCE} {FRANCE}"


def test_nothing_is_heard_in_silence(whisper: FasterWhisper, cancel: CancelFlag) -> None:
    for pcm in (silence(0), silence(1600), silence(48_000), np.full(16_000, -3, np.int16)):
        transcript = whisper.transcribe(pcm, cancel)
        assert transcript.text == ""
        assert transcript.no_speech_probability > 0.9


@pytest.mark.parametrize("level_dbfs", [-90, -30])
def test_nothing_is_heard_in_noise(whisper: FasterWhisper, cancel: CancelFlag, level_dbfs: float) -> None:
    assert whisper.transcribe(noise(2 * SAMPLE_RATE_HZ, level_dbfs), cancel).text == ""


@pytest.mark.parametrize("question", ["france", "spider", "sum"])
def test_small_slices_hear_the_same(
    whisper: FasterWhisper, small_slices: FasterWhisper, questions: dict[str, Pcm], cancel: CancelFlag, question: str
) -> None:
    whole, sliced = (engine.transcribe(questions[question], cancel) for engine in (whisper, small_slices))
    assert words(sliced) == words(whole)
    assert sliced.mean_logprob == pytest.approx(whole.mean_logprob, abs=0.1)


def test_a_request_can_be_cancelled_wherever_it_asks(small_slices: FasterWhisper, questions: dict[str, Pcm]) -> None:
    whole = Count()
    assert words(small_slices.transcribe(questions["france"], whole)) == FRANCE
    assert whole.asked >= 4  # after the spectrogram, after the encoder, and between slices of the 8 tokens
    for moment in range(1, whole.asked + 1):
        with pytest.raises(CancelledWorkError):
            small_slices.transcribe(questions["france"], Count(moment))
    assert words(small_slices.transcribe(questions["france"], Count())) == FRANCE


def test_a_running_request_is_cancelled_from_another_thread(
    whisper: FasterWhisper, questions: dict[str, Pcm], cancel: CancelFlag
) -> None:
    long = np.resize(questions["spider"], 29 * SAMPLE_RATE_HZ)
    timer = threading.Timer(0.1, cancel.request)
    timer.start()
    with pytest.raises(CancelledWorkError):
        whisper.transcribe(long, cancel)
    timer.join()
    cancel.clear()
    assert words(whisper.transcribe(questions["france"], cancel)) == FRANCE


def test_the_longest_turn_is_heard_to_its_end(
    whisper: FasterWhisper, questions: dict[str, Pcm], cancel: CancelFlag
) -> None:
    pause = silence(SAMPLE_RATE_HZ // 2)
    order = ["spider", "joke", "sum", "spider", "joke", "sum", "spider", "joke", "sum", "france"]
    spoken = np.concatenate([part for name in order for part in (questions[name], pause)])
    pcm = np.concatenate([spoken, silence(round(29.5 * SAMPLE_RATE_HZ) - len(spoken))])
    transcript = whisper.transcribe(pcm, cancel)
    assert (transcript.window_s, transcript.fallback) == (30.0, False)
    assert words(transcript).startswith("how many legs does a spider have")
    assert words(transcript).endswith(FRANCE)
    assert len(words(transcript).split()) > 50


def test_more_than_the_window_is_no_error(
    whisper: FasterWhisper, questions: dict[str, Pcm], cancel: CancelFlag
) -> None:
    pcm = np.concatenate([questions["france"], silence(31 * SAMPLE_RATE_HZ)])
    assert words(whisper.transcribe(pcm, cancel)) == FRANCE


def test_a_tenth_of_a_second_is_no_error(whisper: FasterWhisper, questions: dict[str, Pcm], cancel: CancelFlag) -> None:
    transcript = whisper.transcribe(questions["france"][8000:9600], cancel)
    assert len(transcript.text.split()) <= 3


def test_five_beams_hear_the_same(whisper_folder: Path, questions: dict[str, Pcm], cancel: CancelFlag) -> None:
    engine = FasterWhisper(whisper_folder, AsrSettings(beam_size=5), threads=2)
    transcript = engine.transcribe(questions["france"], cancel)
    assert words(transcript) == FRANCE
    assert -0.5 < transcript.mean_logprob < 0


@pytest.mark.parametrize("name", ["model.bin", "tokenizer.json"])
def test_a_damaged_model_is_refused_in_one_sentence(
    whisper_folder: Path, damaged: Callable[[Path, str], Path], name: str
) -> None:
    folder = damaged(whisper_folder, name)
    with pytest.raises(EngineError, match=r"faster-whisper can't load .*whisper-tiny\.en \(.*\)\.$") as caught:
        FasterWhisper(folder, AsrSettings(), threads=1)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="tokenizer"):
        FasterWhisper(tmp_path / "none", AsrSettings(), threads=1)


class Scripted:
    """Hears these texts, one in each look, and counts the looks."""

    def __init__(self, texts: list[str], mean_logprob: float = -0.2) -> None:
        self.windows_s: list[float] = []
        self.beams: list[int] = []
        self._texts = texts
        self._mean_logprob = mean_logprob

    def encode(self, pcm: Pcm, window_s: float, cancel: object) -> Encoded:
        del cancel
        self.windows_s.append(window_s)
        return Encoded(None, len(pcm) / SAMPLE_RATE_HZ, window_s)

    def decode(self, encoded: Encoded, beam_size: int, cancel: object) -> Decoded:
        del encoded, cancel
        self.beams.append(beam_size)
        return Decoded(self._texts[len(self.windows_s) - 1], self._mean_logprob, 0.0)


def scripted(
    monkeypatch: pytest.MonkeyPatch, engine: FasterWhisper, first: Scripted, second: Scripted | None = None
) -> None:
    monkeypatch.setattr(engine, "_first", first)
    monkeypatch.setattr(engine, "_second", second)
    monkeypatch.setattr(engine, "_pace", SecondModelPace())


def looped(texts: list[str], monkeypatch: pytest.MonkeyPatch, engine: FasterWhisper) -> list[float]:
    """Make the engine find these texts, one in each look; returns the windows that it looks at."""
    first = Scripted(texts)
    scripted(monkeypatch, engine, first)
    return first.windows_s


LOOP = "ten of clubs ten of clubs ten of clubs"
"""Could be said in five seconds."""


def test_a_repetition_is_looked_at_on_a_wider_window_and_then_on_the_full_one(
    whisper: FasterWhisper, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows_s = looped([LOOP, LOOP, "Ten of clubs."], monkeypatch, whisper)
    transcript = whisper.transcribe(silence(5 * SAMPLE_RATE_HZ), cancel)
    assert windows_s == [6.2, 10.0, 30.0]
    assert (transcript.text, transcript.fallback, transcript.hurried) == ("Ten of clubs.", True, False)


def test_a_word_that_is_marked_as_cut_off_is_looked_at_again(
    whisper: FasterWhisper, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows_s = looped(["how do I boil in a-", "How do I boil an egg?"], monkeypatch, whisper)
    assert whisper.transcribe(silence(2 * SAMPLE_RATE_HZ), cancel).text == "How do I boil an egg?"
    assert windows_s == [5.0, 10.0]


def test_where_the_wider_window_hears_it_once_nobody_looks_further(
    whisper: FasterWhisper, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows_s = looped([LOOP, "Ten of clubs."], monkeypatch, whisper)
    assert whisper.transcribe(silence(5 * SAMPLE_RATE_HZ), cancel).fallback
    assert windows_s == [6.2, 10.0]


def test_without_the_time_for_the_full_window_one_copy_is_kept(
    whisper: FasterWhisper, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows_s = looped([LOOP, LOOP], monkeypatch, whisper)
    transcript = whisper.transcribe(silence(5 * SAMPLE_RATE_HZ), cancel, within_s=0.0)
    assert windows_s == [6.2, 10.0]
    assert (transcript.text, transcript.hurried) == ("ten of clubs", True)


def test_a_partial_is_looked_at_once(
    whisper: FasterWhisper, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows_s = looped([LOOP], monkeypatch, whisper)
    assert not whisper.transcribe(silence(5 * SAMPLE_RATE_HZ), cancel, thorough=False).fallback
    assert windows_s == [6.2]


def test_the_larger_model_looks_at_doubtful_words_in_place_of_the_wider_window(
    whisper: FasterWhisper, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Scripted(["how do I boil in egg"], -0.6), Scripted(["How do I boil an egg?"])
    scripted(monkeypatch, whisper, first, second)
    for within_s in (None, 60.0):
        transcript = whisper.transcribe(silence(2 * SAMPLE_RATE_HZ), cancel, within_s=within_s)
        assert (transcript.text, transcript.mean_logprob) == ("How do I boil an egg?", -0.2)
        assert (transcript.second_model, transcript.fallback, transcript.window_s) == (True, True, 10.0)
        assert (first.windows_s, first.beams) == ([5.0], [1])
        assert (second.windows_s, second.beams) == ([10.0], [3])
        for one in (first, second):
            one.windows_s.clear()
            one.beams.clear()


def test_without_the_time_for_the_larger_model_the_first_one_looks_again(
    whisper: FasterWhisper, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Scripted(["how do I boil in egg", "How do I boil an egg?"], -0.6), Scripted([])
    scripted(monkeypatch, whisper, first, second)
    transcript = whisper.transcribe(silence(2 * SAMPLE_RATE_HZ), cancel, within_s=0.0)
    assert (transcript.text, transcript.second_model, transcript.fallback) == ("How do I boil an egg?", False, True)
    assert (first.windows_s, first.beams) == ([5.0, 10.0], [1, 3, 3])
    assert second.windows_s == []


@pytest.mark.parametrize(("logprob", "thorough"), [(-0.1, True), (-0.6, False)])
def test_the_larger_model_is_not_asked_about_sure_words_nor_about_partials(
    whisper: FasterWhisper, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch, logprob: float, *, thorough: bool
) -> None:
    first, second = Scripted(["hello there"], logprob), Scripted([])
    scripted(monkeypatch, whisper, first, second)
    transcript = whisper.transcribe(silence(2 * SAMPLE_RATE_HZ), cancel, thorough=thorough)
    assert (transcript.text, transcript.second_model, transcript.fallback) == ("hello there", None, False)
    assert (first.windows_s, second.windows_s) == ([5.0], [])


def test_what_the_larger_model_hears_twice_it_hears_again_on_the_full_window(
    whisper: FasterWhisper, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Scripted([LOOP]), Scripted([LOOP, "Ten of clubs."])
    scripted(monkeypatch, whisper, first, second)
    assert whisper.transcribe(silence(5 * SAMPLE_RATE_HZ), cancel).text == "Ten of clubs."
    assert (first.windows_s, second.windows_s) == ([6.2], [10.0, 30.0])


@pytest.fixture(scope="session")
def with_second(whisper_folder: Path) -> FasterWhisper:
    return FasterWhisper(whisper_folder, AsrSettings(second_model_logprob=0.0), 2, whisper_folder)


def test_a_second_model_hears_the_words_for_real(
    with_second: FasterWhisper, whisper: FasterWhisper, questions: dict[str, Pcm], cancel: CancelFlag
) -> None:
    for question in ("france", "spider"):
        transcript = with_second.transcribe(questions[question], cancel)
        assert (transcript.second_model, transcript.window_s) == (True, 10.0)
        assert words(transcript) == words(whisper.transcribe(questions[question], cancel))
    assert with_second.transcribe(questions["france"], cancel, thorough=False).second_model is None


def test_a_second_model_is_run_by_silence_so_that_it_is_warm_and_measured_after_the_start(
    whisper_folder: Path, cancel: CancelFlag
) -> None:
    engine = FasterWhisper(whisper_folder, AsrSettings(), 2, whisper_folder)
    assert engine.transcribe(silence(SAMPLE_RATE_HZ), cancel).second_model
    assert not engine._pace.fits(first_s=1.0, left_s=0.1)


def test_a_look_of_the_second_model_can_be_cancelled_wherever_it_asks(
    with_second: FasterWhisper, questions: dict[str, Pcm]
) -> None:
    alone, both = Count(), Count()
    with_second.transcribe(questions["france"], alone, thorough=False)
    with_second.transcribe(questions["france"], both)
    assert both.asked > alone.asked
    for moment in range(alone.asked + 1, both.asked + 1):
        with pytest.raises(CancelledWorkError):
            with_second.transcribe(questions["france"], Count(moment))


def test_a_damaged_second_model_is_refused(whisper_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="tokenizer"):
        FasterWhisper(whisper_folder, AsrSettings(), 1, tmp_path / "none")
