"""A turn that grows: who pauses and goes on is heard whole and answered once."""

from __future__ import annotations

import numpy as np
import pytest

from tests.virtual_conversation import (
    CLOCK,
    HearingRecognizer,
    Talk,
    converse,
    settings,
    unfinished,
    voiced,
)
from voicebot.audio import SAMPLE_RATE_HZ, Pcm, samples_from_ms
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, hum
from voicebot.events import (
    TurnCommitted,
)
from voicebot.turn.table import State


def saying(reply: str, pace: Pace | None = None) -> ScriptedModel:
    return ScriptedModel(lambda _: reply, pace or Pace(60, 10))


def read_aloud(seconds: int) -> Pcm:
    """Return a voice with a soft moment in each second, as all speech has: what has none is taken for a fan."""
    pcm = hum(seconds * SAMPLE_RATE_HZ)
    for at in range(0, len(pcm), SAMPLE_RATE_HZ):
        pcm[at + 4000 : at + 5600] //= 16
    return pcm


def test_a_pause_after_a_soft_end_makes_a_second_revision_of_the_whole_audio() -> None:
    asr, slm = HearingRecognizer(), unfinished("This is the one reply.")

    async def script(talk: Talk) -> None:
        await CLOCK.sleep_s(1)
        talk.say_ms(1000)
        await CLOCK.sleep_s(1.3)
        assert talk.session.state is State.PENDING
        await talk.ask_ms(900)

    talk = converse(script, asr=asr, slm=slm)
    (turn,) = talk.turns
    assert turn.revisions == 2
    assert talk.states[:5] == ["listening", "pending", "listening", "pending", "thinking"]
    assert [event.revision for event in talk.of(TurnCommitted)] == [2]
    assert len(talk.replies) == len(talk.session.history.exchanges) == 1
    spoken, heard = voiced(talk.user), voiced(asr.heard[-1])
    np.testing.assert_array_equal(heard, spoken)
    assert len(spoken) > samples_from_ms(2100)


def test_who_goes_on_after_the_commit_and_before_the_reply_is_heard_makes_the_turn_grow() -> None:
    asr, slm = HearingRecognizer(pace=Pace(300)), saying("This is the one reply.", Pace(600, 10))

    async def script(talk: Talk) -> None:
        await CLOCK.sleep_s(1)
        talk.say_ms(1000)
        await talk.until(State.THINKING)
        await CLOCK.sleep_s(0.2)
        resumed = talk.say_ms(900)
        await talk.quiet()
        assert not talk.reply[: resumed + samples_from_ms(900)].any()

    talk = converse(script, asr=asr, slm=slm)
    (turn,) = talk.turns
    assert (turn.turn, turn.revisions, turn.interrupted) == (1, 2, False)
    assert turn.heard == "This is the one reply."
    assert len(talk.replies) == len(talk.session.history.exchanges) == 1
    np.testing.assert_array_equal(voiced(asr.heard[-1]), voiced(talk.user))


@pytest.mark.parametrize("late_ms", range(0, 260, 20))
def test_who_goes_on_just_as_the_reply_begins_never_hears_a_scrap_of_a_stale_one(late_ms: int) -> None:
    """Either the reply became audible and is interrupted, or not one sample of it is heard."""

    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.THINKING)
        await CLOCK.sleep_s(late_ms / 1000)
        talk.say_ms(900)
        await talk.quiet()

    talk = converse(script, asr=ScriptedRecognizer(pace=Pace(500)), slm=saying("This is the one reply."))
    if talk.turns[0].interrupted:
        assert len(talk.turns) == len(talk.replies) == 2
        assert talk.turns[0].marks["audible"] == talk.replies[0][0]
    else:
        assert talk.turns[0].revisions == 2
        assert len(talk.turns) == len(talk.replies) == 1


def test_a_turn_that_grows_beyond_the_longest_one_is_heard_whole() -> None:
    asr = HearingRecognizer(lambda pcm: f"{len(pcm) / 16000:.0f}")

    async def script(talk: Talk) -> None:
        talk.say(read_aloud(65))
        await talk.quiet()

    talk = converse(script, asr=asr, slm=saying("Yes, indeed."))
    (turn,) = talk.turns
    assert turn.revisions == 3
    parts = len(turn.user.split())
    assert all(len(pcm) <= samples_from_ms(30_000) for pcm in asr.heard)
    np.testing.assert_array_equal(voiced(np.concatenate(asr.heard[-parts:])), voiced(talk.user))
    assert turn.heard == "Yes, indeed."
    assert len(talk.replies) == 1


def test_an_utterance_that_stops_at_the_longest_turn_is_answered_at_once() -> None:
    async def script(talk: Talk) -> None:
        await CLOCK.sleep_s(1)
        await talk.ask_ms(2000)

    (turn,) = converse(script, settings(endpoint={"longest_turn_ms": 2000})).turns
    assert turn.revisions == 1
    assert turn.stage_ms["endpoint"] < 40
