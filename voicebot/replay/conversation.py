"""A session that clips are spoken to, and what happened in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from voicebot.audio import SAMPLE_RATE_HZ, VOICED_SHARE_OF_PEAK, Pcm, voiced_span
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import Clock
from voicebot.config.load import Settings
from voicebot.errors import AudioFileError
from voicebot.events import Event, Interrupted, Observer, Resumed, StateChanged, TurnEnded
from voicebot.latency.work import WorkLedger
from voicebot.pipeline.session import Session
from voicebot.pipeline.stages import Stages
from voicebot.turn.table import State

_POLL_S: Final = 0.02
_PAUSE_S: Final = 1.0
_SETTLE_S: Final = 0.7
"""No turn can still be about to open as long after a clip."""
_LONGEST_TURN_S: Final = 90.0
_END_S: Final = 0.2
_LATE_SAMPLES: Final = SAMPLE_RATE_HZ // 2
"""As long after a clip the detector may still have taken its end for a beginning."""

Role = Literal["request", "interruption", "backchannel"]
"""Why something is said: to be answered, to stop the reply, or only to show that one listens."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A file's audio, where in it someone speaks, what is said and why."""

    file: Path
    pcm: Pcm
    first_voiced: int
    last_voiced: int
    says: str = ""
    role: Role = "request"

    @classmethod
    def of(cls, file: Path, pcm: Pcm, says: str = "", role: Role = "request") -> Clip:
        """Find the voiced part. Raises AudioFileError when there is none."""
        span = voiced_span(pcm)
        if span is None:
            raise AudioFileError(f"{file}: the file holds only digital silence; nothing can be said with it.")
        return cls(file, pcm, *span, says, role)


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """A clip, and where on the timeline it began."""

    clip: Clip
    start_sample: int

    @property
    def end_sample(self) -> int:
        """The sample after the clip's last one."""
        return self.start_sample + len(self.clip.pcm)

    @property
    def speech_end_sample(self) -> int:
        """The last voiced sample."""
        return self.start_sample + self.clip.last_voiced

    def speech_start_sample(self, not_before_sample: int = 0) -> int:
        """Return the first voiced sample, or the first one that does not come before a moment."""
        skipped = max(0, not_before_sample - self.start_sample)
        magnitude = np.abs(self.clip.pcm.astype(np.int32))
        voiced = np.flatnonzero(magnitude[skipped:] > VOICED_SHARE_OF_PEAK * magnitude.max())
        return self.start_sample + (skipped + int(voiced[0]) if len(voiced) else self.clip.last_voiced)


@dataclass(slots=True)
class Conversation:
    """One session's replay: what was spoken, what happened, what was heard."""

    session: Session
    """While it runs. It holds megabytes of sound and of detectors, so it is let go afterwards."""
    port: ReplayPort
    settings: Settings
    spoken: list[Spoken] = field(default_factory=list)
    ended: list[TurnEnded] = field(default_factory=list)
    interruptions: dict[int, Interrupted] = field(default_factory=dict)
    resumed: set[int] = field(default_factory=set)
    """Turns whose reply was held for what turned out to be no interruption."""
    log: list[tuple[int, Event]] = field(default_factory=list)
    """Every event, and the sample at which it was observed."""
    speaking: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the reply is audible."""
    remembered: list[tuple[str, str]] = field(default_factory=list)
    """What the history holds at the end: of each exchange the request, and what was heard of the reply."""
    name: str = field(init=False)
    work: WorkLedger = field(init=False)

    def __post_init__(self) -> None:
        self.name, self.work = self.session.name, self.session.work

    def observe(self, event: Event) -> None:
        """Collect what the report needs."""
        self.log.append((self.port.now_sample(), event))
        match event:
            case TurnEnded():
                self.ended.append(event)
            case Interrupted():
                self.interruptions[event.turn] = event
            case Resumed():
                self.resumed.add(event.turn)
            case StateChanged(state=State.SPEAKING.value):
                self.speaking.set()
            case StateChanged():
                self.speaking.clear()
            case _:
                pass

    def say(self, clip: Clip, at_sample: int | None = None) -> None:
        """Speak a clip now, or at a moment to come."""
        self.spoken.append(Spoken(clip, self.port.say(clip.pcm, at_sample)))

    async def settle(self, clock: Clock) -> None:
        """Wait until what was said is answered and nothing more is to come."""
        end = self.spoken[-1].end_sample if self.spoken else self.port.now_sample()
        give_up = end + int(_LONGEST_TURN_S * SAMPLE_RATE_HZ)
        while self.port.now_sample() < end + _SETTLE_S * SAMPLE_RATE_HZ or not self.idle:
            await clock.sleep_s(_POLL_S)
            if self.port.now_sample() > give_up:
                self.session.stop()
                return

    def source(self, ended: TurnEnded) -> Spoken:
        """Return what the turn answered: the last clip that had begun when its speech ended."""
        begun = [spoken for spoken in self.spoken if spoken.start_sample <= ended.speech_end_sample]
        return begun[-1] if begun else self.spoken[0]

    def speakers(self, interruption: Interrupted) -> list[Spoken]:
        """Return the clips that an interruption may be due to; none when it was an echo or a noise."""
        return [
            spoken
            for spoken in self.spoken
            if spoken.start_sample + spoken.clip.first_voiced <= interruption.confirmed_sample
            and interruption.speech_sample <= spoken.speech_end_sample + _LATE_SAMPLES
        ]

    @property
    def idle(self) -> bool:
        """Whether nobody speaks and nothing is left to be played."""
        return self.session.state is State.IDLE and self.port.playback.queued_samples == 0


async def hold(
    name: str,
    settings: Settings,
    stages: Stages,
    clock: Clock,
    observer: Observer,
    script: Callable[[Conversation], Any],
    port: ReplayPort | None = None,
) -> Conversation:
    """Run a session while `script`, a coroutine function, speaks to it; return what happened.

    `port`: a microphone that hears more than the clips.
    """
    port = port or ReplayPort(clock, record=True)

    def observe(event: Event) -> None:
        conversation.observe(event)
        observer(event)

    async with port:
        conversation = Conversation(Session(name, port, stages, settings.pipeline, observe), port, settings)
        async with asyncio.TaskGroup() as group:
            group.create_task(conversation.session.run(), name=name)
            try:
                await script(conversation)
            finally:
                port.end()
    conversation.remembered = [(one.user, one.heard) for one in conversation.session.history.exchanges]
    del conversation.session
    return conversation


async def speak_in_turn(conversation: Conversation, clips: Sequence[Clip], clock: Clock) -> None:
    """Speak one clip after the other, each a second after the reply to the one before has ended."""
    for clip in clips:
        await clock.sleep_s(_PAUSE_S)
        conversation.say(clip)
        await conversation.settle(clock)
    await clock.sleep_s(_END_S)
