"""The wake word among a conversation's stages: there where the pipeline asks for it, and loaded at the start."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from pymicro_wakeword import MicroWakeWord

from voicebot.clock import LoopClock, run_virtual
from voicebot.config.load import Settings, load_settings
from voicebot.config.wake import WakeSettings
from voicebot.daemon import open_stages
from voicebot.engines.protocols import WakeWord
from voicebot.engines.wake_word import MicroWakeWordDetector
from voicebot.errors import EngineError
from voicebot.events import ignore
from voicebot.models.catalogue import load_catalogue
from voicebot.models.store import Store


def scripted(wake: WakeSettings) -> Settings:
    settings = load_settings("scripted")
    return dataclasses.replace(settings, pipeline=settings.pipeline.model_copy(update={"wake": wake}))


def detector_of(wake: WakeSettings, folder: Path) -> WakeWord | None:
    async def main() -> WakeWord | None:
        async with open_stages(scripted(wake), Store(folder, load_catalogue(folder)), LoopClock(), ignore) as stages:
            return stages.make_wake_word() if stages.make_wake_word is not None else None

    return run_virtual(main())


def test_the_word_of_the_pipeline(tmp_path: Path) -> None:
    assert isinstance(detector_of(WakeSettings(mode="word", word="hey_jarvis"), tmp_path), MicroWakeWordDetector)
    assert detector_of(WakeSettings(mode="push"), tmp_path) is None
    assert detector_of(WakeSettings(), tmp_path) is None


def test_a_model_that_is_not_there_is_said_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_model: object) -> None:
        raise FileNotFoundError("no okay_nabu.json")

    monkeypatch.setattr(MicroWakeWord, "from_builtin", broken)
    with pytest.raises(EngineError, match=r"'okay_nabu' can't be loaded: no okay_nabu.json; install pymicro-wakeword"):
        detector_of(WakeSettings(mode="word"), tmp_path)
