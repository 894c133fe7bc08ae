"""How far into a reply a recording reaches, and whether the conversation remembers just that."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from tests.virtual_scenario import Act
from voicebot.audio import Pcm, first_audible_sample, last_audible_sample, samples_from_ms
from voicebot.bench.heard import as_report, check_heard, recorded_reply, words_reached
from voicebot.engines.protocols import Transcript
from voicebot.replay import Conversation

REPLY = "There once was a sailor who went to sea"


class FixedAsr:
    """Hears the same words in everything, and keeps what it was given."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.given: list[Pcm] = []

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
        del thorough
        self.given.append(pcm)
        return Transcript(self.text, -0.1, 0.0, 1.0, fallback=False)


@pytest.mark.parametrize(
    ("recorded", "reached"),
    [
        ("", 0),
        ("there once was", 3),
        ("their once was a sailor", 5),  # a wrong word in between
        ("once was a sailor", 5),  # the first one lost
        ("there once was a was a sailor who", 6),  # said again after a pause
        ("there once was a sail", 4),  # half a word was not heard
        ("there once was a sailor who went to sea", 9),
    ],
)
def test_a_recording_reaches_to_where_its_words_fit_best(recorded: str, reached: int) -> None:
    assert words_reached(REPLY.lower().split(), recorded.split()) == reached


def interrupted(act: Act, heard: str) -> Conversation:
    """Return a conversation whose one reply counts as interrupted after those words."""
    text = f"[scripted]\nreply = '{REPLY}'\n[[clip]]\nfile = 'hum.wav'\nsays = 'Tell me.'\nat_s = 1"
    conversation = act(text).conversation
    conversation.ended[:] = [replace(conversation.ended[0], interrupted=True, heard=heard)]
    return conversation


@pytest.mark.parametrize(
    ("remembered", "recorded", "difference"),
    [
        ("There once was", "there once was a", -1),
        ("There once was a sailor", "There once.", 3),
        ("There once", "there once", 0),
    ],
)
def test_memory_is_held_against_the_recording(act: Act, remembered: str, recorded: str, difference: int) -> None:
    (check,) = asyncio.run(check_heard(interrupted(act, remembered), FixedAsr(recorded)))
    assert check.difference == difference
    report = as_report([check])
    assert report["most_words_apart"] == abs(difference)
    assert report["words_remembered_unheard"] == max(0, difference)
    assert len(report["apart"]) == (abs(difference) > 1)


def test_the_recogniser_is_given_the_reply_and_nothing_else(act: Act) -> None:
    conversation, asr = interrupted(act, "There"), FixedAsr("there")
    asyncio.run(check_heard(conversation, asr))
    (given,) = asr.given
    np.testing.assert_array_equal(given, recorded_reply(conversation, conversation.ended[0]))
    margin = samples_from_ms(200)
    assert first_audible_sample(given) == pytest.approx(margin, abs=2)
    assert len(given) - (last_audible_sample(given) or 0) == margin


def test_a_reply_that_was_not_interrupted_needs_no_comparison(act: Act) -> None:
    conversation = interrupted(act, "There")
    conversation.ended[:] = [replace(conversation.ended[0], interrupted=False)]
    assert asyncio.run(check_heard(conversation, FixedAsr("x"))) == []
    assert as_report([]) == {"turns": 0, "most_words_apart": 0, "words_remembered_unheard": 0, "apart": []}
