"""What the messages hold, as models: docs/schemas/mqtt.json is made of them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field
from pydantic.json_schema import models_json_schema

from voicebot.config.section import Section
from voicebot.interfaces.public_state import PublicState

_SessionName = Annotated[str, Field(max_length=100)]
_RequestId = Annotated[str, Field(max_length=100)]


class State(Section):
    """What the box as a whole is doing, and each of its sessions."""

    state: PublicState
    sessions: dict[str, PublicState]


class Transcript(Section):
    """What the user said: the whole turn so far. Its last revision counts: more may be said until the reply is audible.

    `revision` is null while the words are being spoken.
    """

    session: str
    turn: int
    revision: int | None
    text: str


class Reply(Section):
    """What the assistant said, and what of it was played."""

    session: str
    turn: int
    text: str
    heard: str
    source: str
    interrupted: bool


class Latency(Section):
    """How long a turn took, in milliseconds."""

    session: str
    turn: int
    voice_to_voice_ms: float
    stage_ms: dict[str, float]
    over_budget: list[str]


class Energy(Section):
    """What the whole box took during turns, in joules: the last one, and all since the start."""

    session: str
    turn: int
    joules: float
    total_joules: float
    measured: bool


class Temperature(Section):
    """The hottest part of the box."""

    celsius: float


class Power(Section):
    """What the whole box takes while nobody speaks, in watts, on average since the start."""

    idle_w: float
    measured: bool
    """By a meter; else it is reckoned with a model."""


class LastingEvent(Section):
    """What is delivered at least once. `id` is the same each time; a gap in `sequence` is what had to be dropped."""

    id: str
    sequence: int
    at: str
    """When it happened: UTC, as ISO 8601 has it."""


class Turn(LastingEvent):
    """One turn, whole."""

    session: str
    turn: int
    user: str
    reply: str
    heard: str
    source: str
    interrupted: bool
    voice_to_voice_ms: float | None
    stage_ms: dict[str, float]
    over_budget: list[str]
    error: str | None


class Failure(LastingEvent):
    """Something failed: a turn, or a worker, which is being replaced."""

    session: str | None
    turn: int | None
    stage: str | None
    message: str


class Result(Section):
    """What became of a command. `error` is null where it was carried out, `reply` what an ask was answered with."""

    command: str
    id: str | None
    error: str | None
    reply: str | None


class TextCommand(Section):
    """To `say` or to `ask`. A payload that does not begin with "{" is the text itself."""

    text: str
    session: _SessionName | None = None
    id: _RequestId | None = None


class StopCommand(Section):
    """To stop one session's reply, or all. So does no payload at all, and "PRESS"."""

    session: _SessionName | None = None
    id: _RequestId | None = None


class ListenCommand(Section):
    """To listen without a wake word, as do no payload, "PRESS" and "ON"; or no longer, as does "OFF"."""

    pressed: bool = True
    session: _SessionName | None = None
    id: _RequestId | None = None


class MuteCommand(Section):
    """To switch the microphones. So do "ON", which mutes, and "OFF"."""

    muted: bool
    id: _RequestId | None = None


class VolumeCommand(Section):
    """To set the volume, in percent. So does the number alone."""

    volume: int = Field(ge=0, le=100)
    id: _RequestId | None = None


SENT: Final = (State, Transcript, Reply, Latency, Energy, Power, Temperature, Turn, Failure, Result)
TAKEN: Final = (TextCommand, StopCommand, ListenCommand, MuteCommand, VolumeCommand)


def json_schema() -> dict[str, Any]:
    """Return one JSON schema with a definition for each payload that is JSON."""
    _, schema = models_json_schema([(model, "validation") for model in (*SENT, *TAKEN)], title="Voicebot over MQTT")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
