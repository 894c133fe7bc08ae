"""The sound of a recording is said again to the sample, and the replies of then are not heard in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.replayed import held, reported
from tests.virtual_conversation import CLOCK
from voicebot.audio import Pcm, level_dbfs, samples_from_ms, silence
from voicebot.audio_io.acoustics import EchoPath, EchoSimulator
from voicebot.audio_io.wav import read_wav
from voicebot.config.pipeline import HearingSettings
from voicebot.engines.scripted import hum
from voicebot.replay.conversation import Conversation
from voicebot.replay.recorded import Recorded, speak_as_recorded, without_echo

FILE = Path("x.zip")
FIXTURES = Path(__file__).parents[2] / "fixtures"


def microphone(*parts_ms: int) -> Pcm:
    """Return sounds and silences in turn."""
    parts = [
        hum(samples_from_ms(ms)) if number % 2 == 0 else silence(samples_from_ms(ms))
        for number, ms in enumerate(parts_ms)
    ]
    return np.concatenate(parts)


@pytest.mark.parametrize(
    ("ends", "lengths"),
    [
        ((), [10_000]),
        ((4000,), [7000, 3000]),
        ((1000, 1500, 9999), [1250, 4499, 4250, 1]),
    ],
)
def test_it_is_cut_where_somebody_had_finished_and_nothing_is_lost(ends: tuple[int, ...], lengths: list[int]) -> None:
    pcm = np.arange(10_000, dtype=np.int16)
    recorded = Recorded.of(FILE, "1-local", pcm, ends)
    assert [len(clip.pcm) for clip in recorded.clips] == lengths
    assert np.array_equal(np.concatenate([clip.pcm for clip in recorded.clips]), pcm)
    spoken = [clip for clip in recorded.clips if clip.role == "request"]
    assert [int(clip.pcm[clip.last_voiced]) for clip in spoken] == [end - 1 for end in ends]


def test_a_session_hears_it_as_it_was_and_the_turns_are_those_of_then() -> None:
    pcm = microphone(1000, 5000, 2000, 6000)
    ends = (samples_from_ms(1000), samples_from_ms(8000))
    recorded = Recorded.of(FILE, "1-local", pcm, ends)

    async def script(conversation: Conversation) -> None:
        await speak_as_recorded(conversation, recorded, CLOCK)

    conversation = held(script)
    user, _ = conversation.port.recording()
    assert np.abs(user[16_000 : 16_000 + len(pcm)].astype(int) - pcm).max() < 30, "but for the room's noise"
    first, second = reported(conversation)["turns"]
    assert [first["user"], second["user"]] == ["an utterance of 1 seconds", "an utterance of 2 seconds"]
    assert 0 < first["voice_to_voice_ms"] < 3000
    assert 0 < second["voice_to_voice_ms"] < 3000


def test_what_was_replied_then_is_not_in_it_any_more() -> None:
    reply = read_wav(FIXTURES / "conversation/01-capital-of-france.wav")
    speaker = np.concatenate([reply, silence(8000), reply, reply])
    speaker = speaker[: len(speaker) // 320 * 320]
    room = EchoSimulator(EchoPath(delay_ms=40, gain_db=-10))
    heard = np.concatenate([room.feed(speaker[at : at + 320]) for at in range(0, len(speaker), 320)])
    left = without_echo(heard, speaker, HearingSettings())
    end = slice(-len(reply), None)
    assert level_dbfs(left[end]) < level_dbfs(heard[end]) - 15
    assert without_echo(heard, speaker, HearingSettings(echo_cancellation=False)) is heard
    assert without_echo(heard, silence(len(heard)), HearingSettings()) is heard
