"""What the sessions need of the processor, and how hot it is: what the policy decides by. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Stage = Literal["asr", "slm_read", "slm", "tts", "turn"]
"""Whose cost is known: recognition, reading a prompt, decoding a reply, synthesis, the end-of-turn model."""


class Phase(StrEnum):
    """What a session is at."""

    IDLE = "idle"
    LISTENING = "listening"
    """Somebody speaks: work will arrive soon."""
    ANSWERING = "answering"
    """From the soft end to the first audio: the user waits."""
    SPEAKING = "speaking"
    """The reply is heard, and more of it is made."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage still has to do, in its own unit: seconds of speech, tokens, or phonemes."""

    stage: Stage
    units: float


@dataclass(frozen=True, slots=True)
class SessionDemand:
    """One session's needs."""

    session: str
    phase: Phase
    work: tuple[Work, ...] = ()
    """One after the other: up to the first audio while answering, up to the next clause while speaking."""
    due_s: float | None = None
    """When it should be done, on the clock: the first audio is wanted, or the buffer runs out."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything at one moment."""

    now_s: float
    sessions: tuple[SessionDemand, ...] = ()
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    """By the zone's name; only readings that make sense."""
