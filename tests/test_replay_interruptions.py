"""Interruptions in the replay contract: their steps, as the recording shows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.replayed import LONG_REPLY, WORDS_IN_A_SECOND, check_turn, clip, held, reported, spoken
from tests.virtual_conversation import (
    CLOCK,
    stretches,
)
from voicebot.audio import (
    Pcm,
    first_audible_sample,
    ms_from_samples,
)
from voicebot.engines.scripted import ScriptedModel
from voicebot.replay import Clip, Conversation


def interrupted_by(second: Clip, into_ms: int = 1500, **engines: Any) -> Conversation:
    async def script(conversation: Conversation) -> None:
        conversation.say(clip("first.wav", 800))
        await conversation.speaking.wait()
        await CLOCK.sleep_s(into_ms / 1000)
        conversation.say(second)
        await conversation.settle(CLOCK)

    return held(script, slm=ScriptedModel(lambda _: LONG_REPLY), **engines)


def test_an_interruption_is_timed_as_the_recording_shows_it() -> None:
    conversation = interrupted_by(clip("second.wav", 1500))
    result = reported(conversation)
    first, second = result["turns"]
    check_turn(first)
    assert (first["interrupted"], second["interrupted"]) == (True, False)
    assert (first["resumed"], second["resumed"]) == (False, False)
    assert first["heard"]
    assert LONG_REPLY.startswith(first["heard"])
    assert len(first["heard"]) < len(LONG_REPLY)

    user, reply = conversation.port.recording()
    onset = stretches(user, gap_ms=100)[1][0]
    replied, _ = stretches(reply)
    loudest = envelope(reply[slice(*replied)])
    quiet_from = replied[0] + 160 * int(np.flatnonzero(loudest < 0.5 * loudest[0])[0])
    assert first["duck_ms"] == pytest.approx(ms_from_samples(quiet_from - onset), abs=30)
    assert first["stop_ms"] == pytest.approx(ms_from_samples(replied[1] - onset), abs=1)
    assert 0 < first["duck_ms"] < first["pause_ms"] < first["stop_ms"] < first["confirm_ms"]
    assert first["stop_ms"] < first["pause_ms"] + 40
    assert {second[key] for key in ("duck_ms", "pause_ms", "confirm_ms", "stop_ms")} == {None}
    assert result["summary"]["stop_ms"]["max"] == first["stop_ms"]


def envelope(pcm: Pcm) -> Pcm:
    """Return the peak of each 10 ms."""
    peaks: Pcm = np.abs(pcm[: len(pcm) // 160 * 160].reshape(-1, 160)).max(axis=1)
    return peaks


def test_a_cough_is_no_interruption_and_the_reply_is_resumed() -> None:
    result = reported(interrupted_by(clip("cough.wav", 150), asr=WORDS_IN_A_SECOND))
    first, cough = result["turns"]
    assert (first["file"], first["interrupted"], first["resumed"]) == ("first.wav", False, True)
    assert first["heard"] == LONG_REPLY
    assert first["stop_ms"] is None
    assert cough["file"] == "cough.wav"
    assert cough["error"] is not None


def test_a_pressed_stop_is_an_interruption_without_times() -> None:
    async def script(conversation: Conversation) -> None:
        conversation.say(clip("a.wav", 800))
        await conversation.speaking.wait()
        await CLOCK.sleep_s(1)
        conversation.session.stop()
        await conversation.settle(CLOCK)

    (turn,) = reported(held(script, slm=ScriptedModel(lambda _: LONG_REPLY)))["turns"]
    assert turn["interrupted"]
    assert {turn[key] for key in ("duck_ms", "confirm_ms", "stop_ms")} == {None}


def test_a_reply_that_cuts_in_on_its_clip_is_counted_and_its_stop_is_timed_from_what_follows() -> None:
    """The clip pauses for longer than the end of turn; the rest of it interrupts the reply."""
    conversation = spoken(clip("paused.wav", 800, 1200, 900), slm=ScriptedModel(lambda _: LONG_REPLY))
    result = reported(conversation)
    first, second = result["turns"]
    assert result["summary"]["false_cut_ins"] == 1
    assert first["file"] == second["file"] == "paused.wav"
    assert first["voice_to_voice_ms"] < 0
    assert 0 < first["duck_ms"] < first["pause_ms"] < first["stop_ms"] < first["confirm_ms"] < 1100
    _, reply = conversation.port.recording()
    audible = first_audible_sample(reply)
    assert audible is not None
    assert audible < conversation.spoken[0].speech_end_sample
