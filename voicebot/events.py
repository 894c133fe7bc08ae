"""What an observer of the daemon is told: the command line, MQTT, metrics and the web page all watch these.

Events are facts that have happened. Nothing in the pipeline waits for an observer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The session's turn machine is in another state, by its name in turn/table.py."""

    session: str
    at_sample: int
    state: str


@dataclass(frozen=True, slots=True)
class PartiallyTranscribed:
    """The user still speaks: his words in this turn up to a sample. They replace those that were told before."""

    session: str
    turn: int
    until_sample: int
    text: str


@dataclass(frozen=True, slots=True)
class Transcribed:
    """A revision of the user's words was recognised. It is not committed yet."""

    session: str
    turn: int
    revision: int
    text: str


@dataclass(frozen=True, slots=True)
class TurnCommitted:
    """The user has finished; the reply may become audible and be remembered."""

    session: str
    turn: int
    revision: int
    at_sample: int


@dataclass(frozen=True, slots=True)
class ReplyBegun:
    """The language model has read the request: the first token of its reply is there."""

    session: str
    turn: int


@dataclass(frozen=True, slots=True)
class ClauseSynthesised:
    """The audio of one clause of the reply is ready to be played."""

    session: str
    turn: int
    text: str
    audio_ms: float


@dataclass(frozen=True, slots=True)
class ReplySynthesised:
    """All of the reply's audio is there: nothing is left but to play it."""

    session: str
    turn: int


@dataclass(frozen=True, slots=True)
class ReplyAudible:
    """The first audible sample of the reply was played."""

    session: str
    turn: int
    at_sample: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """One turn, whole. Marks are samples of the session's timeline; a mark that did not happen is missing."""

    session: str
    turn: int
    revisions: int
    user: str
    reply: str
    heard: str
    source: str
    """Where the reply came from: "slm", "intent" without a model, "say" where somebody wanted a text to be said."""
    interrupted: bool
    speech_end_sample: int
    """The last sample of the user's speech as the voice detector saw it."""
    marks: Mapping[str, int]
    stage_ms: Mapping[str, float]
    over_budget: tuple[str, ...]
    error: str | None
    missed: Mapping[str, str] = field(default_factory=dict)
    """Why each stage of over_budget was late, by latency/misses.py; for "total" the stage that was."""
    ladder: Mapping[str, str] = field(default_factory=dict)
    """What was done with less than full quality to be in time, by the ladder's name."""
    requests_ms: tuple[tuple[str, float, float], ...] = ()
    """Of each request to a stage: which, what nine of ten were predicted not to exceed, and what it took."""


@dataclass(frozen=True, slots=True)
class TurnEnergy:
    """What the whole box took during a turn, told shortly after its end; turns at the same time share it."""

    session: str
    turn: int
    joules: float
    measured: bool
    """By a meter; else it is reckoned with a model."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The user spoke over the reply and it was stopped. Moments are samples of the session's timeline."""

    session: str
    turn: int
    speech_sample: int
    ducked_sample: int | None
    confirmed_sample: int
    paused_sample: int | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """What was said over the reply was not meant to stop it, and it goes on."""

    session: str
    turn: int
    at_sample: int


@dataclass(frozen=True, slots=True)
class TurnDiscarded:
    """Something was heard, but no words were in it."""

    session: str
    turn: int
    at_sample: int


@dataclass(frozen=True, slots=True)
class WorkerChanged:
    """A worker process is "loading", "ready", "died" or "stopped"."""

    stage: str
    state: str
    pid: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class FramesDropped:
    """Microphone audio was lost; a gap of silence stands in for it."""

    session: str
    total: int


@dataclass(frozen=True, slots=True)
class AttentionChanged:
    """Who speaks is listened to from here on, or is not until the wake word or a button calls the assistant.

    The word is told of each time that it is heard.
    """

    session: str
    at_sample: int
    attentive: bool


@dataclass(frozen=True, slots=True)
class VolumeChanged:
    """Everything is played as loud as that from here on."""

    percent: int


Event = (
    StateChanged
    | PartiallyTranscribed
    | Transcribed
    | TurnCommitted
    | ReplyBegun
    | ClauseSynthesised
    | ReplySynthesised
    | ReplyAudible
    | TurnEnded
    | TurnEnergy
    | Interrupted
    | Resumed
    | TurnDiscarded
    | WorkerChanged
    | FramesDropped
    | AttentionChanged
    | VolumeChanged
)
Observer = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Observe nothing."""
    del event
