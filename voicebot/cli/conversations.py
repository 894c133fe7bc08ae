"""Reads what is to be said, and holds the conversations: clips one after the other, and scenarios."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from voicebot.audio import SAMPLE_RATE_HZ, Pcm
from voicebot.audio_io.wav import read_wav
from voicebot.clock import Clock
from voicebot.config.load import Settings
from voicebot.daemon import all_scripted, scripted_stages
from voicebot.engines.protocols import Cancel, Speech
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, ScriptedSynthesizer, hum
from voicebot.engines.silero import SileroDetector
from voicebot.engines.webrtc_gate import WebRtcGate
from voicebot.errors import UsageError
from voicebot.events import Observer
from voicebot.pipeline.stages import Stages
from voicebot.replay import Clip, Conversation, Performance, Scenario, hold, load_scenarios, perform, speak_in_turn
from voicebot.replay.recorded import Recorded, speak_as_recorded
from voicebot.replay.scripted import ScriptedWords

_RECOGNISER_PACE: Final = Pace(80)
Part = Sequence[Clip] | Scenario
"""One conversation: clips that are said each after the reply to the one before, or a scenario."""


@dataclass(frozen=True, slots=True)
class Held:
    """Conversations that were held; those of scenarios with what they were."""

    conversations: list[Conversation] = field(default_factory=list)
    performances: list[Performance] = field(default_factory=list)


def read_clips(files: Sequence[Path]) -> list[Clip]:
    """Read all sounds, folders in the order of their names. Raises AudioFileError or UsageError."""
    return [Clip.of(path, read_wav(path)) for path in _found(files, (".wav",))]


def read_parts(files: Sequence[Path], *, fresh: bool = False) -> list[Part]:
    """Read sounds, which make one conversation or each its own if `fresh`, and scenarios, which come after them.

    Raises AudioFileError, UsageError, or ConfigError with everything that is wrong in the scenarios.
    """
    paths = _found(files, (".wav", ".toml"))
    sounds = [path for path in paths if path.suffix != ".toml"]
    clips = [Clip.of(path, read_wav(path)) for path in sounds]
    scenarios = load_scenarios([path for path in paths if path.suffix == ".toml"])
    return [*([[clip] for clip in clips] if fresh else [clips] if clips else []), *scenarios]


def without_openers(settings: Settings) -> Settings:
    """Return the settings with nothing that is played to cover a wait."""
    openers = settings.pipeline.openers.model_copy(update={"enabled": False})
    return settings.with_pipeline(settings.pipeline.model_copy(update={"openers": openers}))


async def hold_parts(
    settings: Settings,
    stages: Stages,
    parts: Sequence[Part | Recorded],
    clock: Clock,
    observer: Observer,
    duration_s: float | None = None,
) -> Held:
    """Hold one conversation after the other. `duration_s` takes the place of what scenarios say, if they do."""
    held = Held()
    scripted = all_scripted(settings.pipeline)
    for number, part in enumerate(parts, 1):
        if isinstance(part, Scenario):
            words = ScriptedWords(_RECOGNISER_PACE.first_ms) if scripted else None
            using = stages if words is None else _acting(part, words, settings, clock)
            name = f"replay-{number}-{part.file.stem}"
            performance = await perform(name, part, settings, using, clock, observer, duration_s, words)
            held.performances.append(performance)
            held.conversations.append(performance.conversation)
        else:

            async def script(conversation: Conversation, part: Sequence[Clip] | Recorded = part) -> None:
                if isinstance(part, Recorded):
                    await speak_as_recorded(conversation, part, clock)
                else:
                    await speak_in_turn(conversation, part, clock)

            held.conversations.append(await hold(f"replay-{number}", settings, stages, clock, observer, script))
    return held


@dataclass
class _BorrowedVoice(ScriptedSynthesizer):
    """Speaks in somebody's voice, whatever the text: the echo of a hum would tell a canceller nothing."""

    voice: Pcm = field(default_factory=lambda: hum(SAMPLE_RATE_HZ))

    def synthesize(self, text: str, *, first: bool, cancel: Cancel) -> Iterator[Speech]:
        """Yield the voice over and over, for as long as the text takes."""
        for speech in super().synthesize(text, first=first, cancel=cancel):
            yield replace(speech, pcm=np.resize(self.voice, len(speech.pcm)))


def _acting(scenario: Scenario, words: ScriptedWords, settings: Settings, clock: Clock) -> Stages:
    """Return scripted engines that know the scenario, behind the real voice detectors: its clips are real voices."""
    reply, endpoint = scenario.content.scripted.reply, settings.pipeline.endpoint
    synthesizer = _BorrowedVoice()
    if scenario.cues:
        clip = scenario.cues[0].clip
        synthesizer.voice = clip.pcm[clip.first_voiced : clip.last_voiced]
    model = ScriptedModel(finished=lambda messages: words.finished(messages[-1].content))
    if reply:
        model.script = lambda _: reply
    return replace(
        scripted_stages(clock, ScriptedRecognizer(words, _RECOGNISER_PACE), model, synthesizer),
        make_gate=lambda: WebRtcGate(endpoint.gate_aggressiveness, endpoint.gate_floor_dbfs),
        make_detector=SileroDetector,
    )


def _found(files: Sequence[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files, and for each folder those in it that have one of the suffixes."""
    paths: list[Path] = []
    for file in files:
        found = sorted(path for path in file.glob("*") if path.suffix in suffixes) if _is_folder(file) else [file]
        if not found:
            raise UsageError(f"{file}: the folder holds no {' or '.join(suffixes)} files; name one that does.")
        paths += found
    return paths


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, a folder that may not be entered: reading it says so
        return False
