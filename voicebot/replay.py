"""Plays clips to a session as a person would speak them, and reports what happened.

Here the truth about the user's speech is known, to the sample: times are counted from the last voiced sample of the
clip, and not from where the voice detector believed it to be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from voicebot.audio import SAMPLE_RATE_HZ, Pcm, last_audible_sample, ms_from_samples, samples_from_ms, voiced_span
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import Clock
from voicebot.config.load import Settings
from voicebot.errors import AudioFileError
from voicebot.events import Event, Interrupted, Observer, StateChanged, TurnEnded
from voicebot.latency.marks import MARKS, over_budget
from voicebot.latency.percentiles import summary
from voicebot.pipeline.session import Session
from voicebot.pipeline.stages import Stages
from voicebot.turn.table import State

_POLL_S: Final = 0.02
_PAUSE_S: Final = 1.0
_SETTLE_S: Final = 0.7
"""No turn can still be about to open as long after a clip."""
_LONGEST_TURN_S: Final = 90.0
SCHEMA: Final = 1
Turn = dict[str, Any]


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


@dataclass(slots=True)
class _Spoken:
    clip: Clip
    start_sample: int

    @property
    def speech_end_sample(self) -> int:
        return self.start_sample + self.clip.last_voiced

    @property
    def speech_start_sample(self) -> int:
        return self.start_sample + self.clip.first_voiced


@dataclass(slots=True)
class Conversation:
    """One session's replay: what was spoken, what happened, what was heard."""

    session: Session
    port: ReplayPort
    settings: Settings
    spoken: list[_Spoken] = field(default_factory=list)
    ended: list[TurnEnded] = field(default_factory=list)
    interruptions: dict[int, Interrupted] = field(default_factory=dict)
    speaking: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the reply is audible."""

    def observe(self, event: Event) -> None:
        """Collect what the report needs."""
        if isinstance(event, TurnEnded):
            self.ended.append(event)
        elif isinstance(event, Interrupted):
            self.interruptions[event.turn] = event
        elif isinstance(event, StateChanged):
            if event.state == State.SPEAKING.value:
                self.speaking.set()
            else:
                self.speaking.clear()

    def say(self, clip: Clip, at_sample: int | None = None) -> None:
        """Speak a clip now, or at a moment to come."""
        self.spoken.append(_Spoken(clip, self.port.say(clip.pcm, at_sample)))

    async def settle(self, clock: Clock) -> None:
        """Wait until what was said is answered and nothing more is to come."""
        last = self.spoken[-1]
        end = last.start_sample + len(last.clip.pcm)
        give_up = end + int(_LONGEST_TURN_S * SAMPLE_RATE_HZ)
        while self.port.now_sample() < end + _SETTLE_S * SAMPLE_RATE_HZ or not self._idle():
            await clock.sleep_s(_POLL_S)
            if self.port.now_sample() > give_up:
                self.session.stop()
                return

    def turns(self) -> list[Turn]:
        """Return what the contract says of each turn; a clip that led to none has an entry with an error."""
        answered = [self._source(ended) for ended in self.ended]
        unanswered = [spoken for spoken in self.spoken if not any(spoken is source for source in answered)]
        return [*map(self._describe, self.ended), *map(self._silent, unanswered)]

    def false_cut_ins(self) -> int:
        """Return how many replies began before their clip was spoken to its end."""
        return sum(
            "audible" in ended.marks and ended.marks["audible"] < self._source(ended).speech_end_sample
            for ended in self.ended
        )

    def _idle(self) -> bool:
        return self.session.state is State.IDLE and self.port.playback.queued_samples == 0

    def _source(self, ended: TurnEnded) -> _Spoken:
        begun = [spoken for spoken in self.spoken if spoken.start_sample <= ended.speech_end_sample]
        return begun[-1] if begun else self.spoken[0]

    def _describe(self, ended: TurnEnded) -> Turn:
        truth = self._source(ended).speech_end_sample
        marks_ms = {name: _ms(ended.marks[name] - truth) if name in ended.marks else None for name in MARKS}
        voice_to_voice_ms = None if ended.error else marks_ms["audible"]
        stage_ms = {**ended.stage_ms}
        if marks_ms["committed"] is not None:
            stage_ms["endpoint"] = marks_ms["committed"]
        return {
            "file": str(self._source(ended).clip.file),
            "session": ended.session,
            "turn": ended.turn,
            "revisions": ended.revisions,
            "user": ended.user,
            "reply": ended.reply,
            "heard": ended.heard,
            "source": ended.source,
            "interrupted": ended.interrupted,
            "voice_to_voice_ms": voice_to_voice_ms,
            "marks_ms": marks_ms,
            "stage_ms": {stage: round(duration, 1) for stage, duration in stage_ms.items()},
            "opener_ms": None,
            "over_budget": list(over_budget(stage_ms, voice_to_voice_ms, self.settings.pipeline.budget)),
            **self._describe_interruption(ended),
            "resumed": False,
            "error": ended.error,
        }

    def _describe_interruption(self, ended: TurnEnded) -> Turn:
        found = self.interruptions.get(ended.turn)
        if found is None:
            return dict.fromkeys(("duck_ms", "pause_ms", "confirm_ms", "stop_ms"))
        begun = [spoken.speech_start_sample for spoken in self.spoken if spoken.start_sample <= found.confirmed_sample]
        onset = begun[-1] if begun else found.speech_sample
        following = [
            later.marks["audible"] for later in self.ended if later.turn > ended.turn and "audible" in later.marks
        ]
        _, reply = self.port.recording()
        last = last_audible_sample(reply[: min(following, default=len(reply))])
        return {
            "duck_ms": None if found.ducked_sample is None else _ms(found.ducked_sample - onset),
            "pause_ms": None,
            "confirm_ms": _ms(found.confirmed_sample - onset),
            "stop_ms": None if last is None else _ms(max(0, last - onset)),
        }

    def _silent(self, spoken: _Spoken) -> Turn:
        nothing = dict.fromkeys(("voice_to_voice_ms", "opener_ms", "duck_ms", "pause_ms", "confirm_ms", "stop_ms"))
        return {
            "file": str(spoken.clip.file),
            "session": self.session.name,
            "turn": 0,
            "revisions": 0,
            "user": "",
            "reply": "",
            "heard": "",
            "source": "slm",
            "interrupted": False,
            "marks_ms": dict.fromkeys(MARKS),
            "stage_ms": {},
            "over_budget": [],
            "resumed": False,
            "error": "no words were heard in this clip.",
            **nothing,
        }


async def hold(
    name: str,
    settings: Settings,
    stages: Stages,
    clock: Clock,
    observer: Observer,
    script: Callable[[Conversation], Any],
) -> Conversation:
    """Run a session while `script`, a coroutine function, speaks to it; return what happened."""
    port = ReplayPort(clock)

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
    return conversation


async def speak_in_turn(conversation: Conversation, clips: Sequence[Clip], clock: Clock) -> None:
    """Speak one clip after the other, each a second after the reply to the one before has ended."""
    for clip in clips:
        await clock.sleep_s(_PAUSE_S)
        conversation.say(clip)
        await conversation.settle(clock)
    await clock.sleep_s(samples_from_ms(200) / SAMPLE_RATE_HZ)


def report(
    settings: Settings, conversations: Sequence[Conversation], *, rss_mb: float, cpu_seconds: float
) -> dict[str, Any]:
    """Return the replay contract's object."""
    turns = [turn for conversation in conversations for turn in conversation.turns()]
    return {
        "schema": SCHEMA,
        "pipeline": settings.pipeline_name,
        "profile": settings.profile_name,
        "models": _models(settings),
        "turns": turns,
        "summary": {
            "turns": len(turns),
            "voice_to_voice_ms": summary(_values(turns, "voice_to_voice_ms")),
            "stop_ms": summary(_values(turns, "stop_ms")),
            "false_cut_ins": sum(conversation.false_cut_ins() for conversation in conversations),
            "dropped_frames": sum(conversation.port.dropped_frames for conversation in conversations),
            "rss_mb": round(rss_mb, 1),
            "cpu_seconds": round(cpu_seconds, 2),
        },
    }


def _models(settings: Settings) -> Mapping[str, str]:
    sections = settings.pipeline.heavy_stages
    return {stage: "scripted" if section.engine == "scripted" else section.model for stage, section in sections.items()}


def _values(turns: Sequence[Turn], key: str) -> list[float]:
    return [turn[key] for turn in turns if turn[key] is not None]


def _ms(samples: int) -> float:
    return round(ms_from_samples(samples), 1)
