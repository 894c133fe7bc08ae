"""When the assistant listens to who speaks, and when only to its name."""

from __future__ import annotations

import pytest

from voicebot.turn.activity import VoiceEvent
from voicebot.turn.attention import Attention
from voicebot.turn.table import State, TurnEvent

WINDOW = 1000


def starts(at_sample: int) -> VoiceEvent:
    return VoiceEvent(TurnEvent.SPEECH_STARTED, at_sample)


@pytest.fixture
def attention() -> Attention:
    return Attention(WINDOW, always=False, after_reply=True)


def test_always_is_always() -> None:
    attention = Attention(WINDOW, always=True, after_reply=False)
    assert attention.attentive
    assert not any(attention.follow(at, state) for at, state in enumerate(State))
    attention.follow(10_000, State.IDLE)
    attention.release(10_000)
    assert attention.minds(starts(10_000))
    assert attention.left_samples(10_000) is None


def test_it_tells_for_how_long_it_listens(attention: Attention) -> None:
    assert attention.left_samples(50) == 0
    attention.call(100)
    assert [attention.left_samples(at) for at in (100, 101, 100 + WINDOW, 2 * WINDOW)] == [WINDOW, WINDOW - 1, 0, 0]


def test_it_sleeps_until_it_is_called_and_after_a_while_again(attention: Attention) -> None:
    assert not attention.minds(starts(50))
    attention.call(100)
    assert attention.follow(100, State.IDLE)
    assert attention.attentive
    assert attention.minds(starts(100 + WINDOW - 1))
    assert not attention.minds(starts(100 + WINDOW))
    assert not attention.follow(100 + WINDOW - 1, State.IDLE)
    assert attention.follow(100 + WINDOW, State.IDLE)
    assert not attention.attentive


def test_what_was_begun_in_time_is_followed_to_its_end(attention: Attention) -> None:
    attention.call(0)
    attention.follow(0, State.IDLE)
    assert not attention.follow(900, State.LISTENING)
    assert not attention.follow(5000, State.PENDING)
    assert attention.minds(starts(5000))
    assert attention.follow(5001, State.IDLE)  # there were no words in it
    assert not attention.minds(starts(5001))


@pytest.mark.parametrize("last", [State.SPEAKING, State.OVERLAP, State.PAUSED, State.WEIGHING])
def test_a_reply_may_be_answered(attention: Attention, last: State) -> None:
    assert not attention.follow(4000, last)  # to a text from elsewhere: nobody has called
    assert attention.minds(starts(4000))  # and yet it can be interrupted
    assert attention.follow(5000, State.IDLE)
    assert attention.minds(starts(5000 + WINDOW - 1))


def test_with_a_button_only_the_button_counts() -> None:
    attention = Attention(WINDOW, always=False, after_reply=False)
    attention.follow(4000, State.SPEAKING)
    assert not attention.follow(5000, State.IDLE)
    attention.call(6000)
    attention.follow(6000, State.IDLE)
    attention.release(6100)
    assert attention.minds(starts(6099))
    assert attention.follow(6100, State.IDLE)
    assert not attention.minds(starts(6100))
