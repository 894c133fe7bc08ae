"""A scenario, read and ready to be performed: its clips at their levels, its noise, its room.

The same file is performed by scripted engines in virtual time and by real ones in real time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import ValidationError

from voicebot.audio import SAMPLE_RATE_HZ, Pcm, level_dbfs
from voicebot.audio_io.acoustics import (
    EchoPath,
    EchoSimulator,
    active_speech_dbfs,
    at_level,
    babble,
    white_noise,
)
from voicebot.audio_io.replay import ReplayPort
from voicebot.audio_io.wav import read_wav
from voicebot.clock import Clock
from voicebot.config.load import Settings, load_file
from voicebot.config.pipeline import PipelineSettings
from voicebot.errors import AudioFileError, ConfigError
from voicebot.replay.conversation import Clip
from voicebot.replay.scenario_file import ClipSection, ScenarioSection

_NOISE_S: Final = 30
"""After which the noise begins again."""


@dataclass(frozen=True, slots=True)
class Cue:
    """A clip, and when it is said."""

    clip: Clip
    when: ClipSection


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario with all its sounds."""

    file: Path
    content: ScenarioSection
    cues: tuple[Cue, ...]
    noise: Pcm | None

    def settings(self, base: Settings) -> Settings:
        """Return the settings with what the scenario changes. Raises ConfigError when they don't go together."""
        changes = self.content.pipeline.model_dump(exclude_unset=True)
        merged = base.pipeline.model_dump()
        for name, section in changes.items():
            merged[name] = {**merged[name], **section}
        try:
            return base.with_pipeline(PipelineSettings.model_validate(merged))
        except ValidationError as error:
            what = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise ConfigError(f"{self.file}: pipeline: does not go with {base.pipeline_name}: {what}") from error

    def port(self, clock: Clock) -> ReplayPort:
        """Return the microphone and speaker in the scenario's room."""
        echo = self.content.echo
        simulator = None if echo is None else EchoSimulator(EchoPath(**echo.model_dump()))
        return ReplayPort(clock, record=True, noise=self.noise, echo=simulator)


def load_scenarios(files: Sequence[Path]) -> list[Scenario]:
    """Read scenario files and all they name. Raises ConfigError with everything that is wrong in any of them."""
    found: list[Scenario] = []
    problems: list[str] = []
    for file in files:
        try:
            found.append(_load(file))
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def _load(file: Path) -> Scenario:
    content = load_file(file, ScenarioSection)
    problems = list(content.contradictions())
    cues: list[Cue] = []
    talkers: list[Pcm] = []
    for number, section in enumerate(content.clip):
        path = file.parent / section.file
        try:
            cues.append(Cue(Clip.of(path, _levelled(read_wav(path), section), section.says, section.role), section))
        except AudioFileError as error:
            problems.append(f"clip.{number}.file: {error}")
    for number, name in enumerate(content.noise.clips if content.noise is not None else []):
        try:
            talkers += map(read_wav, _sounds(file.parent / name))
        except AudioFileError as error:
            problems.append(f"noise.clips.{number}: {error}")
    if problems:
        raise ConfigError("\n".join(f"{file}: {problem}" for problem in problems))
    return Scenario(file, content, tuple(cues), _noise(content, talkers, [cue.clip.pcm for cue in cues]))


def _sounds(place: Path) -> list[Path]:
    """Return the place itself, or the sounds in it if it is a folder."""
    try:
        return (sorted(place.glob("*.wav")) if place.is_dir() else []) or [place]
    except OSError:  # a name that is too long, a folder that may not be entered: reading it says so
        return [place]


def _levelled(pcm: Pcm, section: ClipSection) -> Pcm:
    """Return a clip as loud as its section wants it; speech that gets too loud is clipped as a microphone would."""
    gain_db = section.gain_db or 0.0
    if section.level_dbfs is not None:
        gain_db = section.level_dbfs - active_speech_dbfs(pcm)
    return at_level(pcm, level_dbfs(pcm) + gain_db) if gain_db else pcm


def _noise(content: ScenarioSection, talkers: Sequence[Pcm], speech: Sequence[Pcm]) -> Pcm | None:
    noise = content.noise
    if noise is None:
        return None
    dbfs = noise.level_dbfs
    if dbfs is None:
        dbfs = float(np.mean([active_speech_dbfs(pcm) for pcm in speech])) - (noise.snr_db or 0.0)
    samples = _NOISE_S * SAMPLE_RATE_HZ
    return babble(talkers, samples, dbfs, noise.seed) if talkers else white_noise(samples, dbfs, noise.seed)
