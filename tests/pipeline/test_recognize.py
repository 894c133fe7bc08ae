"""Recognition: what counts as words, long audio in pieces, and what a cancellation leaves."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtual_conversation import CLOCK, tasks_left
from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm, samples_from_ms, silence
from voicebot.clock import run_virtual
from voicebot.engines.protocols import Transcript
from voicebot.engines.scripted import LoudnessDetector, hum
from voicebot.pipeline.recognize import Recognized, holds_speech, pieces, recognize

SECOND = SAMPLE_RATE_HZ


class Ears:
    """Answers with the given texts and keeps what it was given."""

    def __init__(self, *texts: str, takes_s: float = 0.0) -> None:
        self.heard: list[Pcm] = []
        self.thorough: list[bool] = []
        self.cancelled = False
        self.logprobs = [-0.1, -0.9, -0.2]
        self._texts = texts
        self._takes_s = takes_s

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
        try:
            await CLOCK.sleep_s(self._takes_s)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        self.heard.append(pcm)
        self.thorough.append(thorough)
        number = len(self.heard) - 1
        return Transcript(self._texts[number], self.logprobs[number], 0.0, 5.0, fallback=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" What is the capital of France? ", "What is the capital of France?"),
        ("two  \n words", "two words"),
        ("", ""),
        (" ... ", ""),
        ("[BLANK_AUDIO]", ""),
        ("(coughs) Hello. [MUSIC]", "Hello."),
        ("*laughs* ♪ la la ♪", ""),
        ("7", "7"),
        ("Größe, 你好", "Größe, 你好"),
    ],
)
def test_only_words_count(text: str, words: str) -> None:
    assert run_virtual(recognize(Ears(text), silence(SECOND))) == Recognized(words, -0.1)


def test_long_audio_is_recognised_in_pieces_and_joined_and_as_certain_as_the_least_certain_one() -> None:
    ears = Ears("First part,", "[noise]", "third part.")
    pcm = np.arange(70 * SECOND, dtype=np.int32).astype(np.int16)
    assert run_virtual(recognize(ears, pcm)) == Recognized("First part, third part.", -0.9)
    np.testing.assert_array_equal(np.concatenate(ears.heard), pcm)


@pytest.mark.parametrize("thorough", [False, True])
def test_a_look_is_as_thorough_as_it_is_asked_to_be(thorough: bool) -> None:
    ears = Ears("one", "two")
    run_virtual(recognize(ears, hum(40 * SECOND), thorough=thorough))
    assert ears.thorough == [thorough] * 2


def test_short_audio_is_one_piece() -> None:
    pcm = hum(28 * SECOND)
    (only,) = pieces(pcm)
    assert only is pcm


def test_long_audio_is_cut_where_it_is_quiet() -> None:
    pcm = hum(40 * SECOND)
    quiet = slice(23 * SECOND, 23 * SECOND + samples_from_ms(200))
    pcm[quiet] = 0
    first, second = pieces(pcm)
    assert quiet.start <= len(first) <= quiet.stop
    np.testing.assert_array_equal(np.concatenate((first, second)), pcm)


@given(st.integers(0, 100 * SECOND), st.lists(st.integers(0, 100 * SECOND), max_size=20))
def test_no_sample_is_lost_and_no_piece_too_long_or_empty(samples: int, quiet_at: list[int]) -> None:
    pcm = np.full(samples, 1000, np.int16)
    for at in quiet_at:
        pcm[at : at + FRAME_SAMPLES] = 0
    found = pieces(pcm)
    np.testing.assert_array_equal(np.concatenate(found), pcm)
    assert all(len(piece) <= 28 * SECOND for piece in found)
    assert all(len(piece) >= 20 * SECOND for piece in found[:-1])


def test_speech_is_found_anywhere_in_the_audio_and_not_in_silence() -> None:
    detector = LoudnessDetector(512)
    for before in (0, 511, 30_000):
        assert holds_speech(np.concatenate((silence(before), hum(600))), detector, 0.5)
    assert not holds_speech(silence(30_001), detector, 0.5)
    assert not holds_speech(silence(0), detector, 0.5)


def test_a_cancelled_recognition_cancels_the_work_behind_it_and_leaves_nothing() -> None:
    ears = Ears("never heard", takes_s=1.0)

    async def main() -> None:
        work = asyncio.create_task(recognize(ears, silence(SECOND)))
        await CLOCK.sleep_s(0.5)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert tasks_left() == set()

    run_virtual(main())
    assert ears.cancelled
    assert ears.heard == []
