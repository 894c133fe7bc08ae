"""A scripted recogniser hears the words that were said while it listened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.virtual_scenario import Act
from voicebot.audio import samples_from_ms, silence
from voicebot.engines.scripted import hum
from voicebot.replay import Clip, Spoken
from voicebot.replay.scripted import ScriptedWords, said_between

START = 8_000


def spoken(says: str, *parts_ms: int) -> Spoken:
    """Return a clip of sounds and pauses in turn, said from sample 8,000 on."""
    parts = [(silence if number % 2 else hum)(samples_from_ms(part_ms)) for number, part_ms in enumerate(parts_ms)]
    return Spoken(Clip.of(Path("x.wav"), np.concatenate(parts), says), START)


@pytest.mark.parametrize(
    ("from_ms", "to_ms", "words"),
    [
        (0, 4000, "one two three four"),
        (0, 1200, "one two"),
        (1200, 4000, "three four"),
        (0, 260, "one"),
        (0, 200, ""),
        (-400, 0, ""),
        (4000, 5000, ""),
    ],
)
def test_words_take_voiced_time_and_none_of_the_pause(from_ms: int, to_ms: int, words: str) -> None:
    """The first two take 900 ms, then there is a pause of a second."""
    said = spoken("one two three four", 900, 1000, 1200)
    assert said_between(said, START + samples_from_ms(from_ms), START + samples_from_ms(to_ms)) == words


def test_a_clip_that_says_nothing_has_no_words() -> None:
    assert said_between(spoken("", 900), 0, 100_000) == ""


def test_nothing_is_heard_before_there_is_a_conversation() -> None:
    words = ScriptedWords(80)
    assert words(silence(1000)) == ""
    assert words.finished("one") < 0.5


def test_what_was_said_reaches_the_transcript_and_its_end_is_known(act: Act) -> None:
    conversation = act("[[clip]]\nfile = 'hum.wav'\nsays = 'What is it?'\nat_s = 1").conversation
    assert [turn.user for turn in conversation.ended] == ["What is it?"]
    words = ScriptedWords(80)
    words.conversation = conversation
    assert words.finished("What is it?") > 0.5
    assert words.finished("What is") < 0.5
