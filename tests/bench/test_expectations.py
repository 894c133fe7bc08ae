"""Of what a scenario expects, exactly what did not happen is said."""

from __future__ import annotations

import pytest

from tests.virtual_scenario import Act
from voicebot.bench.expectations import missed

CLIP = "[[clip]]\nfile = 'hum.wav'\nsays = 'Set it to 15 minutes.'\nat_s = 1\n"
EXPECT = "[expect]\n"
TURN = "[[expect.turn]]\n"


@pytest.mark.parametrize(
    "expected",
    [
        "",
        EXPECT + "turns = 1\nreplies = 1\ninterruptions = 0\nresumes = 0",
        TURN + "user = 'set it to fifteen minutes'\nanswered = true\ninterrupted = false\nresumed = false",
        TURN + "words = ['set', 'Fifteen minutes']",
        "[expect.each_turn]\nwords = ['minutes']",
    ],
)
def test_what_happened_is_not_missed(act: Act, expected: str) -> None:
    assert missed(act(CLIP + expected), timed=True) == []


@pytest.mark.parametrize(
    ("expected", "sentences"),
    [
        (EXPECT + "turns = 2\nreplies = 0", ["turns: 2 expected, 1 found", "replies: 0 expected, 1 found"]),
        (
            EXPECT + "interruptions = 1\nresumes = 1",
            ["interruptions: 1 expected, 0 found", "resumes: 1 expected, 0 found"],
        ),
        (TURN + "user = 'Set it.'", ["turn 1: user: 'Set it.' expected, 'Set it to 15 minutes.' found"]),
        (
            TURN + "words = ['minutes', 'set']",
            ["turn 1: words: minutes ... set expected, 'Set it to 15 minutes.' found"],
        ),
        (TURN + "interrupted = true", ["turn 1: interrupted: true expected, false found"]),
        (TURN + TURN + "answered = true", ["turn 2: there was none"]),
        ("[expect.each_turn]\nanswered = false", ["turn 1: answered: false expected, true found"]),
    ],
)
def test_what_did_not_happen_is_said(act: Act, expected: str, sentences: list[str]) -> None:
    assert missed(act(CLIP + expected), timed=False) == sentences


def test_limits_are_for_real_conversations(act: Act) -> None:
    performance = act(CLIP + "[expect.most]\nvoice_to_voice_ms = 1\nstop_ms = 400")
    assert missed(performance, timed=False) == []
    late, never = missed(performance, timed=True)
    assert late.startswith("voice_to_voice_ms: at most 1 expected, ")
    assert never == "stop_ms: at most 400 expected, None found"


def test_a_reply_into_a_clip_is_a_false_cut_in_unless_it_is_expected(act: Act) -> None:
    """The clip seems to be over after a second, and goes on two seconds later."""
    two = CLIP + "[[clip]]\nfile = 'short.wav'\nsays = 'and a half'\nat_s = 4\n"
    assert missed(act(two), timed=False) == []
    performance = act(CLIP)
    (spoken,) = performance.conversation.spoken
    ended = performance.conversation.ended[0]
    late = type(spoken)(spoken.clip, ended.marks["audible"] - 100)
    performance.conversation.spoken[:] = [late]
    assert "false_cut_ins: 0 expected, 1 found" in missed(performance, timed=False)


def test_a_clip_that_was_not_said_and_a_failure_are_missed(act: Act) -> None:
    silent = "[[clip]]\nfile = 'hum.wav'\nat_s = 1\n[[clip]]\nfile = 'hum.wav'\nafter = 'reply starts'\n"
    assert missed(act(silent), timed=False) == [
        "hum.wav was not said: it waited for 'reply starts', which did not happen"
    ]


def test_what_was_heard_is_what_is_remembered(act: Act) -> None:
    performance = act(CLIP)
    performance.conversation.remembered.append(("Hello", "something that nobody heard"))
    assert missed(performance, timed=False) == ["history_is_heard: something else is remembered than what was heard"]
    assert missed(act(CLIP + EXPECT + "history_is_heard = true"), timed=False) == []
