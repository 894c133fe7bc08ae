"""A session that clips are spoken to, and what happened in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from voicebot.audio import SAMPLE_RATE_HZ, Pcm, voiced_span
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import Clock
from voicebot.config.load import Settings
from voicebot.errors import AudioFileError
from voicebot.events import Event, Interrupted, Observer, StateChanged, TurnEnded
from voicebot.pipeline.session import Session
from voicebot.pipeline.stages import Stages
from voicebot.turn.table import State

_POLL_S: Final = 0.02
_PAUSE_S: Final = 1.0
_SETTLE_S: Final = 0.7
"""No turn can still be about to open as long after a clip."""
_LONGEST_TURN_S: Final = 90.0
_END_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Clip:
    """A file's audio and where in it someone speaks."""

    file: Path
    pcm: Pcm
    first_voiced: int
    last_voiced: int

    @classmethod
    def of(cls, file: Path, pcm: Pcm) -> Clip:
        """Find the voiced part. Raises AudioFileError when there is none."""
        span = voiced_span(pcm)
        if span is None:
            raise AudioFileError(f"{file}: the file holds only digital silence; nothing can be said with it.")
        return cls(file, pcm, *span)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A clip and the sample of the timeline at which it began."""

    clip: Clip
    start_sample: int

    @property
    def end_sample(self) -> int:
        """The sample after the clip's last."""
        return self.start_sample + len(self.clip.pcm)

    @property
    def last_voiced_sample(self) -> int:
        """The last sample at which the user is heard."""
        return self.start_sample + self.clip.last_voiced

    def first_voiced_sample(self, after_sample: int = 0) -> int | None:
        """The first sample at which the user is heard, or is heard after a moment."""
        skipped = max(self.clip.first_voiced, after_sample - self.start_sample)
        span = voiced_span(self.clip.pcm)
        del span
        return self.start_sample + skipped


@dataclass(slots=True)
class Conversation:
    """One session's replay: what was spoken, what happened, what was heard."""

    session: Session
    port: ReplayPort
    settings: Settings
    spoken: list[Spoken] = field(default_factory=list)
    ended: list[TurnEnded] = field(default_factory=list)
    interruptions: dict[int, Interrupted] = field(default_factory=dict)
