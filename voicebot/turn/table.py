"""The turn machine: which event leads from which state to which, and what has to be done.

The table is the specification: docs/architecture.md shows it, and a test keeps the two the same. An event that it
does not list for a state raises and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from voicebot.errors import IllegalEventError


class State(Enum):
    """Where one session's conversation stands."""

    IDLE = "idle"
    """Nobody speaks."""
    LISTENING = "listening"
    """The user speaks."""
    PENDING = "pending"
    """The user paused: work on the revision has begun, nothing of it is audible or remembered."""
    THINKING = "thinking"
    """The turn is committed; the reply is not audible yet."""
    SPEAKING = "speaking"
    """The reply is audible."""
    OVERLAP = "overlap"
    """Somebody may be speaking over the reply, which goes on quietly."""
    PAUSED = "paused"
    """Somebody speaks, and the reply is held; what is said decides whether it was meant to stop it."""
    WEIGHING = "weighing"
    """The same, after the speech has paused."""


class TurnEvent(Enum):
    """What can happen to a turn."""

    SPEECH_SIGN = "speech sign"
    """Perhaps the beginning of speech: enough to be quieter for a moment."""
    SIGN_FADED = "sign faded"
    """It was nothing."""
    SPEECH_STARTED = "speech started"
    SPEECH_CONFIRMED = "speech confirmed"
    """It has lasted too long for a click."""
    SOFT_END = "soft end"
    """A short silence."""
    END_OF_TURN = "end of turn"
    """The evidence is enough that the user has finished."""
    NOTHING_SAID = "nothing said"
    """The recogniser found no words in the revision."""
    MEANT = "meant"
    """What was said over the reply is for the assistant."""
    NOT_MEANT = "not meant"
    """It was a cough, a backchannel, a noise or our own echo."""
    REPLY_AUDIBLE = "reply audible"
    REPLY_ENDED = "reply ended"
    FAILED = "failed"
    """A stage failed, after the commit, and the reply can't go on."""
    STOP = "stop"
    """The user pressed stop."""
    PROMPTED = "prompted"
    """A text from elsewhere than the microphone is to be answered aloud, or to be said."""


class Action(Enum):
    """What the session has to do; in the order given."""

    OPEN_TURN = "open turn"
    START_REVISION = "start revision"
    """Recognise what was said so far, and prepare a reply to it."""
    START_PROMPTED = "start prompted"
    """Prepare the reply to a text that was not spoken."""
    DROP_REVISION = "drop revision"
    """Cancel the stale work; the next revision will hold more."""
    COMMIT = "commit"
    """Let the reply be heard and remembered."""
    DISCARD_TURN = "discard turn"
    DUCK = "duck"
    UNDUCK = "unduck"
    PAUSE = "pause"
    """Hold the reply where it is, and find out what is being said."""
    RESUME = "resume"
    """Go on with the reply from the first word that was not heard."""
    INTERRUPT = "interrupt"
    """End the reply for good, remember what was heard of it, close the turn."""
    CLOSE_TURN = "close turn"
    APOLOGIZE = "apologize"
    """Cancel the reply and play the apology that was rendered at start; where the reply is held, the apology is."""


_S, _E, _A = State, TurnEvent, Action
Step = tuple[State, tuple[Action, ...]]
_QUIET: Final = (_S.IDLE, _S.LISTENING, _S.PENDING, _S.THINKING, _S.PAUSED, _S.WEIGHING)

TABLE: Final[Mapping[tuple[State, TurnEvent], Step]] = MappingProxyType(
    {
        (_S.IDLE, _E.SPEECH_STARTED): (_S.LISTENING, (_A.OPEN_TURN,)),
        #
        # Speech that began just before the reply ended.
        (_S.IDLE, _E.SPEECH_CONFIRMED): (_S.LISTENING, (_A.OPEN_TURN,)),
        (_S.IDLE, _E.SOFT_END): (_S.IDLE, ()),
        (_S.IDLE, _E.END_OF_TURN): (_S.IDLE, ()),
        (_S.IDLE, _E.STOP): (_S.IDLE, ()),
        (_S.IDLE, _E.PROMPTED): (_S.THINKING, (_A.OPEN_TURN, _A.START_PROMPTED, _A.COMMIT)),
        (_S.LISTENING, _E.SPEECH_CONFIRMED): (_S.LISTENING, ()),
        (_S.LISTENING, _E.SOFT_END): (_S.PENDING, (_A.START_REVISION,)),
        (_S.LISTENING, _E.STOP): (_S.IDLE, (_A.DISCARD_TURN,)),
        (_S.PENDING, _E.SPEECH_STARTED): (_S.LISTENING, (_A.DROP_REVISION,)),
        (_S.PENDING, _E.END_OF_TURN): (_S.THINKING, (_A.COMMIT,)),
        (_S.PENDING, _E.NOTHING_SAID): (_S.IDLE, (_A.DISCARD_TURN,)),
        (_S.PENDING, _E.STOP): (_S.IDLE, (_A.DISCARD_TURN,)),
        #
        # Nothing was audible yet: the user has simply gone on, and the turn grows.
        (_S.THINKING, _E.SPEECH_STARTED): (_S.LISTENING, (_A.DROP_REVISION,)),
        (_S.THINKING, _E.NOTHING_SAID): (_S.IDLE, (_A.DISCARD_TURN,)),
        (_S.THINKING, _E.REPLY_AUDIBLE): (_S.SPEAKING, ()),
        (_S.THINKING, _E.REPLY_ENDED): (_S.IDLE, (_A.CLOSE_TURN,)),
        (_S.THINKING, _E.FAILED): (_S.THINKING, (_A.APOLOGIZE,)),
        (_S.THINKING, _E.STOP): (_S.IDLE, (_A.INTERRUPT,)),
        (_S.SPEAKING, _E.SPEECH_SIGN): (_S.OVERLAP, (_A.DUCK,)),
        (_S.SPEAKING, _E.SIGN_FADED): (_S.SPEAKING, ()),
        (_S.SPEAKING, _E.SPEECH_STARTED): (_S.OVERLAP, (_A.DUCK,)),
        #
        # Of noise that was judged already, and goes on.
        (_S.SPEAKING, _E.SPEECH_CONFIRMED): (_S.SPEAKING, ()),
        (_S.SPEAKING, _E.SOFT_END): (_S.SPEAKING, ()),
        (_S.SPEAKING, _E.END_OF_TURN): (_S.SPEAKING, ()),
        (_S.SPEAKING, _E.REPLY_AUDIBLE): (_S.SPEAKING, ()),
        (_S.SPEAKING, _E.REPLY_ENDED): (_S.IDLE, (_A.CLOSE_TURN,)),
        (_S.SPEAKING, _E.FAILED): (_S.SPEAKING, (_A.APOLOGIZE,)),
        (_S.SPEAKING, _E.STOP): (_S.IDLE, (_A.INTERRUPT,)),
        (_S.OVERLAP, _E.SPEECH_SIGN): (_S.OVERLAP, ()),
        (_S.OVERLAP, _E.SIGN_FADED): (_S.SPEAKING, (_A.UNDUCK,)),
        (_S.OVERLAP, _E.SPEECH_STARTED): (_S.OVERLAP, ()),
        (_S.OVERLAP, _E.SPEECH_CONFIRMED): (_S.PAUSED, (_A.PAUSE,)),
        (_S.OVERLAP, _E.SOFT_END): (_S.SPEAKING, (_A.UNDUCK,)),
        (_S.OVERLAP, _E.END_OF_TURN): (_S.OVERLAP, ()),
        (_S.OVERLAP, _E.REPLY_AUDIBLE): (_S.OVERLAP, ()),
        (_S.OVERLAP, _E.REPLY_ENDED): (_S.IDLE, (_A.CLOSE_TURN,)),
        (_S.OVERLAP, _E.FAILED): (_S.OVERLAP, (_A.APOLOGIZE,)),
        (_S.OVERLAP, _E.STOP): (_S.IDLE, (_A.INTERRUPT,)),
        (_S.PAUSED, _E.SOFT_END): (_S.WEIGHING, ()),
        (_S.PAUSED, _E.MEANT): (_S.LISTENING, (_A.INTERRUPT, _A.OPEN_TURN)),
        (_S.PAUSED, _E.NOT_MEANT): (_S.SPEAKING, (_A.RESUME,)),
        #
        # The stretch that was playing when the reply was held.
        (_S.PAUSED, _E.REPLY_AUDIBLE): (_S.PAUSED, ()),
        #
        # It had been played already when the speech was confirmed.
        (_S.PAUSED, _E.REPLY_ENDED): (_S.LISTENING, (_A.CLOSE_TURN, _A.OPEN_TURN)),
        (_S.PAUSED, _E.FAILED): (_S.PAUSED, (_A.APOLOGIZE,)),
        (_S.PAUSED, _E.STOP): (_S.IDLE, (_A.INTERRUPT,)),
        (_S.WEIGHING, _E.SPEECH_STARTED): (_S.PAUSED, ()),
        (_S.WEIGHING, _E.END_OF_TURN): (_S.SPEAKING, (_A.RESUME,)),
        (_S.WEIGHING, _E.MEANT): (_S.PENDING, (_A.INTERRUPT, _A.OPEN_TURN, _A.START_REVISION)),
        (_S.WEIGHING, _E.NOT_MEANT): (_S.SPEAKING, (_A.RESUME,)),
        (_S.WEIGHING, _E.REPLY_AUDIBLE): (_S.WEIGHING, ()),
        (_S.WEIGHING, _E.FAILED): (_S.WEIGHING, (_A.APOLOGIZE,)),
        (_S.WEIGHING, _E.STOP): (_S.IDLE, (_A.INTERRUPT,)),
        #
        # Signs matter only to a reply that can be heard.
        **{(state, event): (state, ()) for state in _QUIET for event in (_E.SPEECH_SIGN, _E.SIGN_FADED)},
        (_S.PAUSED, _E.SPEECH_CONFIRMED): (_S.PAUSED, ()),
    }
)


class TurnMachine:
    """One session's place in the table."""

    def __init__(self) -> None:
        self.state = State.IDLE
        self.observer: Callable[[State, TurnEvent, Step | None], None] | None = None
        """Is told of each event before it takes effect: the state it came in, and what the table says to it, if it is
        allowed."""

    def on(self, event: TurnEvent) -> tuple[Action, ...]:
        """Move on, and return what is to be done. Raises IllegalEventError and stays where it is."""
        step = TABLE.get((self.state, event))
        if self.observer is not None:
            self.observer(self.state, event, step)
        if step is None:
            raise IllegalEventError(f"the turn machine allows no {event.value!r} while {self.state.value}")
        self.state, actions = step
        return actions


def as_markdown() -> str:
    """Return the table for the documentation."""
    lines = ["| state | event | next state | actions |", "| --- | --- | --- | --- |"]
    for (state, event), (following, actions) in TABLE.items():
        what = ", ".join(action.value for action in actions) or "-"
        lines.append(f"| {state.value} | {event.value} | {following.value} | {what} |")
    return "\n".join(lines)
