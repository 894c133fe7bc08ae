"""The readable voice can be read: whole, quiet, in noise, and cut short."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.voice import ReadableSynthesizer, heard_by_now, spoken, written
from voicebot.audio import Pcm, samples_from_ms, silence
from voicebot.engines.scripted import hum
from voicebot.workers.flags import CancelFlags

TEXTS = st.from_regex(r"[a-z]([a-z0-9.,?!'-]| (?=[a-z])){0,20}", fullmatch=True)


def in_noise(pcm: Pcm) -> Pcm:
    noise = np.random.default_rng(1).normal(0, 3.3, len(pcm) + 8000)
    noise[4000 : 4000 + len(pcm)] += pcm
    return np.rint(noise).astype(np.int16)


@given(TEXTS, st.sampled_from([40.0, 60.0, 120.0]), st.sampled_from([1.0, 0.35]))
def test_what_is_spoken_is_what_is_written(text: str, ms_per_letter: float, gain: float) -> None:
    assert written(in_noise((spoken(text, ms_per_letter) * gain).astype(np.int16))) == text


def test_a_pause_parts_words() -> None:
    pause = silence(samples_from_ms(60))
    assert written(np.concatenate((spoken("mm-hm"), pause, spoken("right"), pause))) == "mm-hm right"


@pytest.mark.parametrize("pcm", [silence(0), silence(16_000), hum(16_000), in_noise(silence(0))])
def test_what_is_no_voice_has_no_words(pcm: Pcm) -> None:
    assert written(pcm) == heard_by_now(pcm) == ""


def test_a_word_that_is_still_being_spoken_is_not_recognised() -> None:
    pcm = spoken("stop now")
    assert heard_by_now(pcm[: samples_from_ms(7.5 * 60)]) == "stop"
    assert heard_by_now(pcm[: samples_from_ms(3.5 * 60)]) == ""
    assert heard_by_now(np.concatenate((pcm, silence(100)))) == "stop now"


@pytest.mark.parametrize("piece_ms", [33, 500, 10_000])
def test_the_synthesizer_says_the_words_where_it_says_they_are(piece_ms: float) -> None:
    flags = CancelFlags.create()
    synthesizer = ReadableSynthesizer(piece_ms=piece_ms)
    pieces = list(synthesizer.synthesize("Hello, you.", first=True, cancel=flags[0]))
    flags.close()
    pcm = np.concatenate([speech.pcm for speech in pieces])
    assert written(pcm) == "hello, you."
    ends = [end for speech in pieces for end in speech.word_ends]
    assert [written(pcm[:end]) for end in ends] == ["hello,", "hello, you."]
