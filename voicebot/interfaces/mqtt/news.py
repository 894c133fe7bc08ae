"""What of the assistant's events is worth telling, and in which words. Pure but for the time and names of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypedDict
from uuid import uuid4

from voicebot.config.section import Section
from voicebot.events import (
    Event,
    PartiallyTranscribed,
    StateChanged,
    Transcribed,
    TurnCommitted,
    TurnEnded,
    TurnEnergy,
    WorkerChanged,
)
from voicebot.interfaces.mqtt import payloads
from voicebot.interfaces.mqtt.topics import Message, Topics
from voicebot.interfaces.public_state import BoxState
from voicebot.latency.marks import voice_to_voice_ms


class News:
    """Follows the events. `live` says what holds now, `lasting` what everybody has to learn sooner or later.

    `muted` and `sessions`, the turn table's states by name: how it begins. With `texts` false it tells nothing of what
    was said by either side.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        texts: bool = True,
        muted: bool = False,
        sessions: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._topics = topics
        self._texts = texts
        self._box = BoxState(muted=muted, sessions=sessions)
        self._heard: dict[str, Transcribed] = {}
        """Of each session the latest revision."""
        self._final: dict[str, int] = {}
        """Of each session the latest turn whose transcript was told."""
        self._joules = 0.0

    def live(self, event: Event) -> Iterator[Message]:
        """Yield what an event changes for those who watch."""
        match event:
            case StateChanged() | WorkerChanged():
                self._box.follow(event)
                if isinstance(event, StateChanged) and event.state == "closed":
                    self._heard.pop(event.session, None)
                    self._final.pop(event.session, None)
                yield self.state()
            case PartiallyTranscribed():
                yield from self._transcript(self._topics.partial, event, lasting=False)
            case Transcribed():
                self._heard[event.session] = event
                yield from self._transcript(self._topics.partial, event, lasting=False)
            case TurnCommitted():
                heard = self._heard.get(event.session)
                if heard is not None and (heard.turn, heard.revision) == (event.turn, event.revision):
                    self._final[event.session] = event.turn
                    yield from self._transcript(self._topics.final, heard, lasting=True)
            case TurnEnded():
                yield from self._turn(event)
            case TurnEnergy():
                self._joules += event.joules
                yield _message(
                    self._topics.energy,
                    payloads.Energy(
                        session=event.session,
                        turn=event.turn,
                        joules=round(event.joules, 3),
                        total_joules=round(self._joules, 3),
                        measured=event.measured,
                    ),
                )
            case _:
                pass

    def lasting(self, event: Event) -> Iterator[Message]:
        """Yield the events that are to be delivered at least once. Whoever sends them numbers them."""
        match event:
            case TurnEnded():
                turn = payloads.Turn(
                    **_new(),
                    session=event.session,
                    turn=event.turn,
                    user=event.user if self._texts else "",
                    reply=event.reply if self._texts else "",
                    heard=event.heard if self._texts else "",
                    source=event.source,
                    interrupted=event.interrupted,
                    voice_to_voice_ms=voice_to_voice_ms(event.marks, event.speech_end_sample),
                    stage_ms=dict(event.stage_ms),
                    over_budget=list(event.over_budget),
                    error=event.error,
                )
                yield Message(self._topics.turn, turn.model_dump_json(), qos=1)
                if event.error is not None:
                    yield self._failure(event.error, session=event.session, turn=event.turn)
            case WorkerChanged(state="died"):
                yield self._failure(event.reason or "the worker died", stage=event.stage)
            case _:
                pass

    def state(self) -> Message:
        """Return what the box is doing."""
        state = payloads.State(state=self._box.overall, sessions=self._box.sessions)
        return _message(self._topics.state, state, retain=True)

    def _transcript(self, topic: str, heard: PartiallyTranscribed | Transcribed, *, lasting: bool) -> Iterator[Message]:
        if self._texts:
            revision = heard.revision if isinstance(heard, Transcribed) else None
            transcript = payloads.Transcript(session=heard.session, turn=heard.turn, revision=revision, text=heard.text)
            yield _message(topic, transcript, lasting=lasting)

    def _turn(self, event: TurnEnded) -> Iterator[Message]:
        if event.user and self._final.get(event.session) != event.turn:  # it was typed
            typed = Transcribed(event.session, event.turn, event.revisions, event.user)
            yield from self._transcript(self._topics.final, typed, lasting=True)
        if self._texts:
            reply = payloads.Reply(
                session=event.session,
                turn=event.turn,
                text=event.reply,
                heard=event.heard,
                source=event.source,
                interrupted=event.interrupted,
            )
            yield _message(self._topics.reply, reply)
        took_ms = voice_to_voice_ms(event.marks, event.speech_end_sample)
        if took_ms is not None and event.source != "say":  # nobody had asked anything, and waited
            latency = payloads.Latency(
                session=event.session,
                turn=event.turn,
                voice_to_voice_ms=took_ms,
                stage_ms=dict(event.stage_ms),
                over_budget=list(event.over_budget),
            )
            yield _message(self._topics.latency, latency)

    def _failure(
        self, message: str, *, session: str | None = None, turn: int | None = None, stage: str | None = None
    ) -> Message:
        failure = payloads.Failure(**_new(), session=session, turn=turn, stage=stage, message=message)
        return Message(self._topics.error, failure.model_dump_json(), qos=1)


class _Named(TypedDict):
    id: str
    sequence: int
    at: str


def _new() -> _Named:
    return {"id": uuid4().hex, "sequence": 0, "at": datetime.now(UTC).isoformat(timespec="milliseconds")}


def _message(topic: str, payload: Section, *, retain: bool = False, lasting: bool = True) -> Message:
    return Message(topic, payload.model_dump_json(), retain=retain, lasting=lasting)
