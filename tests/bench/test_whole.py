"""The figures of whole conversations are held against the recording and against their limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.audio import SAMPLE_RATE_HZ
from voicebot.bench.virtual import measure_virtual
from voicebot.bench.whole import check, recomputed_ms, repeated
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.load import load_settings
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import hum
from voicebot.events import ignore
from voicebot.replay import Clip, Conversation, hold, report, speak_in_turn

SETTINGS = load_settings("scripted")
CLIP = Clip.of(Path("hum.wav"), hum(SAMPLE_RATE_HZ))


def conversation(turns: int) -> Conversation:
    async def converse() -> Conversation:
        clock = LoopClock()

        async def script(talk: Conversation) -> None:
            await speak_in_turn(talk, repeated([CLIP], turns), clock)

        return await hold("whole", SETTINGS, scripted_stages(clock), clock, ignore, script)

    return run_virtual(converse())


def test_clips_are_repeated_in_order() -> None:
    other = Clip.of(Path("other.wav"), hum(100))
    assert repeated([CLIP, other], 3) == [CLIP, other, CLIP]


def test_the_recording_tells_the_same_as_the_report() -> None:
    held = conversation(3)
    result = report(SETTINGS, [held], rss_mb=0, cpu_seconds=0)
    reported = [turn["voice_to_voice_ms"] for turn in result["turns"]]
    assert recomputed_ms(held) == pytest.approx(reported, abs=1)
    assert (
        check(result, [held], {"voice_to_voice_p50_ms": 900, "unanswered": 0, "recording_differs_ms": 20})["missed"]
        == []
    )


def test_a_missed_limit_is_named() -> None:
    held = conversation(1)
    result = report(SETTINGS, [held], rss_mb=0, cpu_seconds=0)
    checked = check(result, [held], {"voice_to_voice_p50_ms": 100, "asr_p50_ms": 500})
    assert checked["missed"] == ["voice_to_voice_p50_ms"]


def test_minutes_of_conversation_are_held_in_virtual_time() -> None:
    assert measure_virtual(SETTINGS, 1)["turns"] >= 10
