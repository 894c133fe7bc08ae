"""Scenarios with hums for voices, performed in virtual time by scripted engines."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from voicebot.audio import samples_from_ms, silence
from voicebot.audio_io.wav import write_wav
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.load import load_settings
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, hum
from voicebot.events import ignore
from voicebot.replay import Performance, load_scenarios, perform
from voicebot.replay.scripted import ScriptedWords


class Act(Protocol):
    """Performs a scenario."""

    def __call__(self, text: str, duration_s: float | None = None) -> Performance: ...


def write_scenario(folder: Path, text: str) -> Path:
    """Write a scenario beside two clips, hum.wav of 1 s and short.wav of 0.4 s, with 100 ms of silence around."""
    for name, duration_ms in (("hum", 1000), ("short", 400)):
        quiet = silence(samples_from_ms(100))
        write_wav(folder / f"{name}.wav", np.concatenate((quiet, hum(samples_from_ms(duration_ms)), quiet)))
    file = folder / "scenario.toml"
    file.write_text(f"about = 'a test'\n{text}")
    return file


def perform_virtually(folder: Path, text: str, duration_s: float | None = None) -> Performance:
    (scenario,) = load_scenarios([write_scenario(folder, text)])
    clock, words = LoopClock(), ScriptedWords(80)
    reply = scenario.content.scripted.reply
    model = ScriptedModel(
        lambda messages: reply or f"Yes, {messages[-1].content}",
        finished=lambda messages: words.finished(messages[-1].content),
    )
    stages = scripted_stages(clock, ScriptedRecognizer(words, Pace(80)), model)
    settings = load_settings("scripted")
    return run_virtual(perform("test", scenario, settings, stages, clock, ignore, duration_s, words))
