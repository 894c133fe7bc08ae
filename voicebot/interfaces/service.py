"""The running assistant, as its interfaces see it: its sessions, and the few things that can be asked of it."""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import Any, Final

from voicebot.assistant.speakable import speakable
from voicebot.audio import SAMPLE_RATE_HZ
from voicebot.audio_io.mute import MutablePort
from voicebot.audio_io.port import AudioPort
from voicebot.config.box import SessionSettings
from voicebot.config.pipeline import PipelineSettings
from voicebot.errors import UsageError, VoicebotError
from voicebot.events import (
    Event,
    FramesDropped,
    Observer,
    StateChanged,
    TurnEnded,
    TurnEnergy,
    VolumeChanged,
    WorkerChanged,
)
from voicebot.interfaces.journal import talk
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.watchers import Watchers
from voicebot.latency.marks import voice_to_voice_ms
from voicebot.pipeline.session import Session
from voicebot.pipeline.stages import Stages
from voicebot.turn.table import State

Follower = Callable[[Session, MutablePort], None]
_INTERRUPTIBLE: Final = {State.THINKING, State.SPEAKING, State.OVERLAP, State.PAUSED, State.WEIGHING}
_USERS_TURN: Final = {State.LISTENING, State.PENDING}


class TooManySessionsError(VoicebotError):
    """There are as many conversations as the box was told to take."""


class NoSuchSessionError(UsageError):
    """There is no conversation of that name."""


class Service:
    """Lives as long as the stages do. Everything is called in the event loop's thread, and nothing blocks it.

    `stages` serve all sessions; interfaces that offer one stage alone use them as well. `watchers` were handed to
    whoever opened the stages.
    """

    def __init__(
        self, stages: Stages, pipeline: PipelineSettings, limits: SessionSettings, watchers: Watchers, kept: KeptState
    ) -> None:
        self.stages = stages
        self.pipeline = pipeline
        self.limits = limits
        self._watchers = watchers
        self._kept = kept
        self._sessions: dict[str, Session] = {}
        self._ports: dict[str, MutablePort] = {}
        self._parts: dict[str, Callable[[], Mapping[str, Any]]] = {}
        self._workers: dict[str, dict[str, Any]] = {}
        self._dropped_frames: dict[str, int] = {}
        self._last_turn: dict[str, Any] | None = None
        self._turns = 0
        self._followers: list[Follower] = []
        self.save_recording: Callable[[], Awaitable[Mapping[str, Any]]] | None = None
        """Has the recorder write what it holds, and returns what that was; None while nothing is recorded."""
        watchers.watch(self._note)
        self.describe("cpu", stages.processor)

    def watch(self, observer: Observer) -> Callable[[], None]:
        """Tell somebody every event from here on; returns how to end that. An observer must not block."""
        return self._watchers.watch(observer)

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Show somebody each conversation that is open, and others when they open; returns how to end that."""
        self._followers.append(follower)
        for name, session in self._sessions.items():
            follower(session, self._ports[name])
        return lambda: self._followers.remove(follower)

    def describe(self, part: str, status: Callable[[], Mapping[str, Any]]) -> Callable[[], None]:
        """Have something told under that name in the status: an interface's own. Returns how to end that."""
        self._parts[part] = status

        def end() -> None:
            if self._parts.get(part) is status:  # else one that was begun anew is told of there
                del self._parts[part]

        return end

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The conversations that are open, by name; the one at the box's own microphone is "local"."""
        return dict(self._sessions)

    @asynccontextmanager
    async def open_session(self, name: str, port: AudioPort) -> AsyncGenerator[Session, None]:
        """Hold a conversation over a microphone and a speaker for as long as the block runs.

        The port is opened and closed here. The session runs in a task of its own: when the port has no more frames
        it ends, while the block may go on. Raises TooManySessionsError, and what the port raises; what the session
        raises reaches the block as a group.
        """
        if len(self._sessions) >= self.limits.most:
            raise TooManySessionsError(
                f"{len(self._sessions)} conversations run already; raise sessions.most, or end one of them."
            )
        name = self._free_name(name)
        muted = MutablePort(port, muted=self.muted)
        muted.playback.volume = self.volume / 100
        session = Session(name, muted, self.stages, self.pipeline, self._watchers)
        self._sessions[name], self._ports[name] = session, muted
        for follower in tuple(self._followers):
            follower(session, muted)
        context = copy_context()
        context.run(talk.set, session)
        try:
            async with muted, asyncio.TaskGroup() as group:
                running = group.create_task(session.run(), name=f"session {name}", context=context)
                try:
                    yield session
                finally:
                    running.cancel()
        finally:
            del self._sessions[name], self._ports[name]
            self._dropped_frames.pop(name, None)
            self._watchers(StateChanged(name, port.now_sample(), "closed"))

    @property
    def taken_frames(self) -> Mapping[str, int]:
        """How many frames of each conversation's microphone were taken, by the conversation's name."""
        return {name: port.taken_frames for name, port in self._ports.items()}

    def now_sample(self, session: str) -> int | None:
        """Return the present moment on a conversation's timeline; None where there is no such conversation."""
        port = self._ports.get(session)
        return None if port is None else port.now_sample()

    def stop(self, session: str | None = None) -> int:
        """End the replies that are on their way, in one session or in all; returns how many there were.

        Raises NoSuchSessionError.
        """
        stopped = 0
        for one in self._chosen(session):
            if one.state in _INTERRUPTIBLE:
                one.stop()
                stopped += 1
        return stopped

    def listen(self, session: str | None = None, *, pressed: bool = True) -> str:
        """Let one session, by default the only or local one, listen for a while without a wake word: push to talk.

        `pressed` false is the button's release. Returns the session's name; raises NoSuchSessionError.
        """
        one = self._one(session)
        one.listen(pressed=pressed)
        return one.name

    @property
    def muted(self) -> bool:
        """Whether every microphone is off. It is kept over a restart."""
        return self._kept.muted

    def mute(self, *, muted: bool) -> None:
        """Switch every microphone off or on. What was being said is forgotten; a reply goes on."""
        self._kept.set_muted(muted=muted)
        for name, port in self._ports.items():
            port.muted = muted
            if muted and self._sessions[name].state in _USERS_TURN:
                self._sessions[name].stop()
        switched = StateChanged("", 0, "muted" if muted else "unmuted")
        for one in self._sessions.values():
            one.earcons.on(switched)
        self._watchers(switched)

    @property
    def volume(self) -> int:
        """How loud everything is played, in percent. It is kept over a restart."""
        return self._kept.volume

    def set_volume(self, percent: int) -> None:
        """Set how loud everything is played, at once. Raises UsageError outside 0 to 100."""
        if not 0 <= percent <= 100:
            raise UsageError(f"a volume is from 0 to 100 percent; {percent} is not.")
        self._kept.set_volume(percent)
        for port in self._ports.values():
            port.playback.volume = percent / 100
        self._watchers(VolumeChanged(percent))

    async def say(self, text: str, session: str | None = None) -> TurnEnded:
        """Say a text in one session, by default in the only or local one, once nobody speaks; returns its turn.

        Raises UsageError for a text that can't be said, NoSuchSessionError and BusyError.
        """
        spoken = speakable(self._checked(text))
        if not spoken:
            raise UsageError("there is nothing to say in that text; give some words.")
        return await self._one(session).say(spoken, self.limits.longest_wait_s)

    async def ask(self, text: str, session: str | None = None) -> TurnEnded:
        """Answer a text aloud in one session, as `say` does; returns the turn, with the reply.

        Raises UsageError, NoSuchSessionError and BusyError.
        """
        return await self._one(session).ask(self._checked(text), self.limits.longest_wait_s)

    def status(self) -> dict[str, Any]:
        """Return what there is to tell, as JSON values."""
        return {
            "schema": 1,
            "pid": os.getpid(),
            "pipeline": {
                **{stage: section.model for stage, section in self.pipeline.worker_stages.items()},
                **{stage: section.uri for stage, section in self.pipeline.remote_stages.items()},
            },
            "muted": self.muted,
            "volume": self.volume,
            "sessions": {
                name: {
                    "state": one.state.value,
                    **self._attention(name),
                    "exchanges": len(one.history.exchanges),
                    "dropped_frames": self._dropped_frames.get(name, 0),
                }
                for name, one in self._sessions.items()
            },
            "workers": {stage: dict(worker) for stage, worker in self._workers.items()},
            "turns": self._turns,
            "last_turn": self._last_turn,
            **{part: dict(status()) for part, status in self._parts.items()},
        }

    def _attention(self, name: str) -> dict[str, Any]:
        """Return whether a conversation listens to who speaks, and for how many seconds more; null without end."""
        attention = self._sessions[name].attention
        left_samples = attention.left_samples(self._ports[name].now_sample())
        left_s = None if left_samples is None else round(left_samples / SAMPLE_RATE_HZ, 1)
        return {"attentive": attention.attentive, "attentive_s": left_s}

    def _note(self, event: Event) -> None:
        match event:
            case WorkerChanged():
                known = self._workers.setdefault(event.stage, {"state": "", "pid": None, "deaths": 0})
                known["deaths"] += event.state == "died"
                known.update(state=event.state, pid=event.pid)
            case FramesDropped():
                self._dropped_frames[event.session] = event.total
            case TurnEnded():
                self._turns += 1
                self._last_turn = {
                    "session": event.session,
                    "user": event.user,
                    "reply": event.reply,
                    "heard": event.heard,
                    "interrupted": event.interrupted,
                    "voice_to_voice_ms": voice_to_voice_ms(event.marks, event.speech_end_sample),
                    "error": event.error,
                    "energy_j": None,
                }
            case TurnEnergy() if self._last_turn is not None and self._last_turn["session"] == event.session:
                self._last_turn["energy_j"] = round(event.joules, 2)
            case _:
                pass

    def _chosen(self, name: str | None) -> list[Session]:
        if name is None:
            return list(self._sessions.values())
        if name not in self._sessions:
            known = ", ".join(self._sessions) or "none is open"
            raise NoSuchSessionError(f"there is no session {name!r}; known: {known}.")
        return [self._sessions[name]]

    def _one(self, name: str | None) -> Session:
        if name is None and self._sessions:
            name = "local" if "local" in self._sessions else next(iter(self._sessions))
        if name is None:
            raise NoSuchSessionError("nobody is there to hear it: no session is open.")
        return self._chosen(name)[0]

    def _checked(self, text: str) -> str:
        """Return the text on one line, without what can't be spoken or shown."""
        words = " ".join("".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in text).split())
        if not words:
            raise UsageError("the text is empty; give some words.")
        if len(words) > self.limits.longest_text:
            raise UsageError(f"the text has {len(words)} characters; {self.limits.longest_text} are the most.")
        return words

    def _free_name(self, wanted: str) -> str:
        base, number = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in wanted)[:64] or "session", 1
        name = base
        while name in self._sessions:
            number += 1
            name = f"{base}-{number}"
        return name
