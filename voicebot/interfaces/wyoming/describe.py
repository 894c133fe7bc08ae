"""What is offered by Wyoming, as a client is told it."""

from __future__ import annotations

import re
from typing import Any, Final

from wyoming.info import (
    AsrModel,
    AsrProgram,
    Attribution,
    HandleModel,
    HandleProgram,
    Info,
    TtsProgram,
    TtsVoice,
    WakeModel,
    WakeProgram,
)

from voicebot import __version__
from voicebot.config.pipeline import PipelineSettings
from voicebot.config.wake import WAKE_NAMES

_PROGRAM: Final = "voicebot"
_LOCALE: Final = re.compile(r"piper-([a-z]{2,3})_[A-Z]{2}-")


def describe(pipeline: PipelineSettings) -> Info:
    """Return the stages of a pipeline, each as one program with its models.

    Intents are recognised but not offered: Home Assistant would take the assistant for one that controls the home, and
    hand over to it the questions about the home that it can answer better itself.
    """
    asr = AsrModel(languages=[pipeline.asr.language], **_artifact(pipeline.asr.done_by))
    found = _LOCALE.match(pipeline.tts.model)
    voice = TtsVoice(languages=[found[1] if found else pipeline.asr.language], **_artifact(pipeline.tts.done_by))
    model = HandleModel(languages=[pipeline.asr.language], **_artifact(pipeline.slm.model))
    return Info(
        asr=[
            AsrProgram(
                models=[asr],
                supports_transcript_streaming=True,
                prefers_auto_gain_enabled=False,
                prefers_noise_reduction_enabled=False,
                **_artifact(_PROGRAM, "Speech to text, offline"),
            )
        ],
        tts=[
            TtsProgram(
                voices=[voice],
                supports_synthesize_streaming=True,
                **_artifact(_PROGRAM, "Text to speech, offline"),
            )
        ],
        handle=[
            HandleProgram(
                models=[model],
                supports_handled_streaming=True,
                **_artifact(_PROGRAM, "Answers by a language model, offline"),
            )
        ],
        wake=[
            WakeProgram(models=[_wake_model(name) for name in WAKE_NAMES], **_artifact(_PROGRAM, "Wake words, offline"))
        ],
    )


def _wake_model(name: str) -> WakeModel:
    phrase = name.replace("_", " ")
    return WakeModel(languages=["en"], phrase=phrase, **_artifact(name, phrase))


def _artifact(name: str, description: str | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "description": description or name,
        "version": __version__,
        "attribution": Attribution(name=_PROGRAM, url=""),
        "installed": True,
    }
