"""The tones: when they sound, how loud they are, and that nobody takes them for a reply."""

from __future__ import annotations

import numpy as np
import pytest

from tests.virtual_conversation import CLOCK, Talk, converse, settings, understood
from voicebot.audio import FULL_SCALE, samples_from_ms
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.config.pipeline import OpenerSettings
from voicebot.config.wake import EarconSettings
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, hum
from voicebot.events import AttentionChanged, Event, StateChanged, TurnDiscarded
from voicebot.pipeline.earcons import EARCON, Earcons, tone
from voicebot.pipeline.openers import Openers
from voicebot.turn.table import State

ON = EarconSettings(enabled=True)
TOLD: list[Event] = [
    AttentionChanged("local", 0, attentive=True),
    TurnDiscarded("local", 1, 0),
    StateChanged("", 0, "muted"),
    StateChanged("", 0, "unmuted"),
]
UNTOLD: list[Event] = [AttentionChanged("local", 0, attentive=False), StateChanged("local", 0, "listening")]


def test_a_tone_swells_and_fades_at_its_level() -> None:
    pcm = tone((440, 330), -26)
    assert len(pcm) == samples_from_ms(160)
    assert np.abs(pcm).max() / FULL_SCALE == pytest.approx(10 ** (-26 / 20), rel=0.02)
    assert np.abs(pcm[[0, -1]]).max() == 0
    assert np.abs(np.diff(pcm.astype(int))).max() < 350  # no click


@pytest.mark.parametrize("event", TOLD + UNTOLD)
@pytest.mark.parametrize("enabled", [True, False])
def test_what_is_told(event: Event, enabled: bool) -> None:
    playback = PlaybackBuffer()
    Earcons(playback, EarconSettings(enabled=enabled)).on(event)
    assert bool(playback.queued_samples) == (enabled and event in TOLD)


def test_each_sounds_different() -> None:
    sounds = set()
    for event in TOLD:
        playback = PlaybackBuffer()
        Earcons(playback, ON).on(event)
        sounds.add(playback.pull(0, playback.queued_samples).tobytes())
    assert len(sounds) == len(TOLD)


def test_none_is_played_after_something_else() -> None:
    playback = PlaybackBuffer()
    playback.push("reply", hum(1600))
    Earcons(playback, ON).on(TOLD[0])
    assert playback.queued_samples == 1600


def test_a_long_wait_that_no_opener_covers_has_a_tone() -> None:
    after = samples_from_ms(ON.after_ms)
    silent = OpenerSettings(enabled=False)
    openers = Openers([], silent, ON)
    assert openers.due(1, after - 1) is None
    assert openers.due(1, after) is not None
    assert openers.due(2, after) is not None
    assert Openers([], silent).due(1, after) is None


def test_they_are_no_part_of_a_reply() -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(100)  # no words
        await talk.quiet()
        talk.say_ms(800)
        await talk.until(State.THINKING)
        await CLOCK.sleep_s(0.1)
        await talk.quiet()

    using = settings(earcons={"enabled": True, "after_ms": 500})
    slow = ScriptedModel(lambda _: "four words and no more", pace=Pace(900, 10))
    talk = converse(script, using, asr=ScriptedRecognizer(understood), slm=slow)
    (turn,) = talk.turns
    tones = [played for played in talk.played if played.tag == EARCON]
    assert tones
    assert len(talk.of(TurnDiscarded)) == 1
    assert turn.heard == turn.reply == "four words and no more"
    assert turn.marks["opener"] < turn.marks["audible"]
    assert (turn.marks["opener"] - turn.speech_end_sample) >= samples_from_ms(500)
