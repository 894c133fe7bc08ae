"""Conversations with scripted engines, replayed and reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.virtual_conversation import (
    CLOCK,
)
from voicebot.audio import (
    SAMPLE_RATE_HZ,
    samples_from_ms,
    silence,
)
from voicebot.clock import run_virtual
from voicebot.config.box import BoxSettings
from voicebot.config.load import Settings
from voicebot.config.pipeline import PipelineSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import ScriptedRecognizer, hum
from voicebot.events import ignore
from voicebot.replay import Clip, Conversation, hold, report, speak_in_turn

SCRIPTED: Final = PipelineSettings.model_validate(
    {stage: {"engine": "scripted"} for stage in ("turn_model", "asr", "slm", "tts")}
    | {"hearing": {"echo_cancellation": False}}  # both sides hum the same tone, and it would be taken for echo
)
TURN_KEYS: Final = [
    *("file", "session", "turn", "revisions", "user", "reply", "heard", "source", "interrupted"),
    *("voice_to_voice_ms", "marks_ms", "stage_ms", "opener_ms", "over_budget", "missed", "ladder", "requests_ms"),
    *("energy_j", "energy_measured"),
    *("duck_ms", "pause_ms", "confirm_ms", "stop_ms", "resumed", "error"),
]
SUMMARY_KEYS: Final = [
    *("turns", "voice_to_voice_ms", "stop_ms", "false_cut_ins", "dropped_frames", "rss_mb", "cpu_seconds"),
    "wasted_cpu_share",
    "idle_w",
]
MARK_KEYS: Final = [
    *("soft_end", "asr_final", "committed", "slm_first_token", "slm_first_clause", "tts_first_audio", "audible"),
]
WORDS_IN_A_SECOND: Final = ScriptedRecognizer(lambda pcm: "some words" if len(pcm) > SAMPLE_RATE_HZ else "")
LONG_REPLY: Final = "First of all, this is a long reply. It has a second sentence. It has a third one as well."


def clip(name: str, *parts_ms: int, tail_ms: int = 300) -> Clip:
    """Return a clip of sounds and silences in turn, with 200 ms of silence before it and some after it."""
    sound = True
    parts = [silence(samples_from_ms(200))]
    for part_ms in parts_ms:
        parts.append(hum(samples_from_ms(part_ms)) if sound else silence(samples_from_ms(part_ms)))
        sound = not sound
    return Clip.of(Path(name), np.concatenate([*parts, silence(samples_from_ms(tail_ms))]))


def held(script: Callable[[Conversation], Coroutine[Any, Any, None]], **engines: Any) -> Conversation:
    using = Settings("scripted", "voicebot", engines.pop("pipeline", SCRIPTED), BoxSettings())
    return run_virtual(hold("replay-1", using, scripted_stages(CLOCK, **engines), CLOCK, ignore, script))


def spoken(*clips: Clip, **engines: Any) -> Conversation:
    async def script(conversation: Conversation) -> None:
        await speak_in_turn(conversation, clips, CLOCK)

    return held(script, **engines)


def reported(*conversations: Conversation) -> dict[str, Any]:
    """Return the report as one who reads the JSON gets it."""
    result = report(conversations[0].settings, conversations, rss_mb=123.456, cpu_seconds=7.891)
    parsed: dict[str, Any] = json.loads(json.dumps(result, allow_nan=False))
    return parsed


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_turn(turn: dict[str, Any]) -> None:
    """Assert the types that the contract gives."""
    assert sorted(turn) == sorted(TURN_KEYS)
    for key in ("file", "session", "user", "reply", "heard"):
        assert isinstance(turn[key], str), key
    for key in ("turn", "revisions"):
        assert type(turn[key]) is int, key
    for key in ("interrupted", "resumed", "energy_measured"):
        assert type(turn[key]) is bool, key
    for key in ("voice_to_voice_ms", "opener_ms", "duck_ms", "pause_ms", "confirm_ms", "stop_ms", "energy_j"):
        assert turn[key] is None or is_number(turn[key]), key
    assert turn["source"] in {"intent", "slm", "cache", "tool"}
    assert sorted(turn["marks_ms"]) == sorted(MARK_KEYS)
    assert all(mark is None or is_number(mark) for mark in turn["marks_ms"].values())
    assert set(turn["stage_ms"]) <= {"endpoint", "asr", "slm", "tts"}
    assert all(map(is_number, turn["stage_ms"].values()))
    assert set(turn["over_budget"]) <= {"endpoint", "asr", "slm", "tts", "total"}
    assert turn["error"] is None or isinstance(turn["error"], str)
