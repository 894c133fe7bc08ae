"""What each session needs of the processor, by what happens in it: events in, demands out. No I/O, no clock.

Work of synthesis is counted in letters here, which is what its cost is learnt by (latency/costs.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voicebot.cpu.demand import Phase, SessionDemand, Work
from voicebot.events import (
    ClauseSynthesised,
    Event,
    ReplyAudible,
    ReplyBegun,
    ReplySynthesised,
    StateChanged,
    Transcribed,
    TurnEnded,
)
from voicebot.latency.plan import LETTERS_PER_TOKEN, LETTERS_PER_WORD, TOKENS_PER_WORD, USUAL_WORDS

STATES: Final = {
    "idle": Phase.IDLE,
    "listening": Phase.LISTENING,
    "pending": Phase.ANSWERING,
    "thinking": Phase.ANSWERING,
    "speaking": Phase.SPEAKING,
    # Somebody may be interrupting: what is said has to be recognised, and soon.
    "overlap": Phase.LISTENING,
    "paused": Phase.LISTENING,
    "weighing": Phase.LISTENING,
}
"""The phase of each state of the turn machine."""
_HELD: Final = {"paused", "weighing"}
_TOKENS_PER_SPEECH_S: Final = 3.3
_FIRST_WINDOW_LETTERS: Final = 16
"""What is synthesised at once before the first sound: about a second of speech."""
_FORGOTTEN_S: Final = 120.0
"""A session of which nothing was heard for so long has ended without a word."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a pipeline promises."""

    answer_within_s: float = 0.5
    """From the soft end to the first sound: the total budget without the endpoint's part of it."""
    first_words: int = USUAL_WORDS
    """Of the first clause of a reply."""


class Attention:
    """Knows of all sessions what they are at."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._talks: dict[str, _Talk] = {}

    def observe(self, event: Event, now_s: float) -> bool:
        """Take note of an event; returns whether some session needs something else than before."""
        match event:
            case StateChanged():
                talk = self._talks.setdefault(event.session, _Talk(self._expected))
                talk.enter(event.state, now_s)
                if STATES.get(event.state, Phase.IDLE) is Phase.IDLE:
                    del self._talks[event.session]
                return True
            case Transcribed() | ReplyBegun() | ClauseSynthesised() | ReplySynthesised() | ReplyAudible() | TurnEnded():
                known = self._talks.get(event.session)
                if known is not None:
                    known.observe(event, now_s)
                return known is not None
            case _:
                return False

    def demands(self, now_s: float) -> tuple[SessionDemand, ...]:
        """Return what the sessions need that are in a turn."""
        for session, talk in list(self._talks.items()):
            if now_s - talk.heard_s > _FORGOTTEN_S:
                del self._talks[session]
        return tuple(talk.demand(session, now_s) for session, talk in self._talks.items())


class _Talk:
    """One session in a turn."""

    def __init__(self, expected: Expected) -> None:
        self.heard_s = 0.0
        """When the latest event came."""
        self._expected = expected
        self._state = "idle"
        self._speech_since_s = 0.0
        self._work: list[Work] = []
        """Up to the first sound."""
        self._due_s = 0.0
        self._forget_reply()

    def _forget_reply(self) -> None:
        self._audible_s: float | None = None
        self._made_s = 0.0
        self._complete = False
        self._held_since_s: float | None = None
        self._held_s = 0.0

    def enter(self, state: str, now_s: float) -> None:
        """Be in another state of the turn machine."""
        before, self._state, self.heard_s = self._state, state, now_s
        if state == "listening":
            if before not in {"pending", "thinking"}:
                self._speech_since_s = now_s
            self._work = []
            self._forget_reply()
        elif state == "pending":
            self._forget_reply()
            self._expect_answer(now_s)
        elif state in _HELD and self._held_since_s is None:
            self._held_since_s = now_s
            if before == "overlap":
                self._speech_since_s = now_s
        elif state not in _HELD and self._held_since_s is not None:
            self._held_s += now_s - self._held_since_s
            self._held_since_s = None

    def observe(self, event: Event, now_s: float) -> None:
        """Take note of what happened within a state."""
        self.heard_s = now_s
        match event:
            case Transcribed():
                self._done("asr")
                read = len(event.text) / LETTERS_PER_TOKEN
                self._work = [Work("slm_read", read) if work.stage == "slm_read" else work for work in self._work]
            case ReplyBegun():
                self._done("asr", "slm_read")
            case ClauseSynthesised():
                self._work = []
                self._made_s += event.audio_ms / 1000
            case ReplySynthesised():
                self._work = []
                self._complete = True
            case ReplyAudible():
                self._work = []
                self._audible_s = now_s
            case _:
                self._forget_reply()

    def demand(self, session: str, now_s: float) -> SessionDemand:
        """Return what it needs in this moment."""
        phase = STATES.get(self._state, Phase.IDLE)
        if self._work:  # an opener may be heard meanwhile
            return SessionDemand(session, Phase.ANSWERING, tuple(self._work), self._due_s)
        if phase is not Phase.SPEAKING or self._complete or self._audible_s is None:
            return SessionDemand(session, phase)
        due_s = self._audible_s + self._made_s + self._held_s
        clause = Work("slm", USUAL_WORDS * TOKENS_PER_WORD), Work("tts", USUAL_WORDS * LETTERS_PER_WORD)
        # Audio is told of when a clause is whole: later than that moment nobody knows how much there is.
        return SessionDemand(session, phase, clause, due_s if due_s > now_s else None)

    def _expect_answer(self, now_s: float) -> None:
        speech_s = max(0.0, now_s - self._speech_since_s)
        self._work = [
            Work("asr", speech_s),
            Work("slm_read", speech_s * _TOKENS_PER_SPEECH_S),
            Work("slm", self._expected.first_words * TOKENS_PER_WORD),
            Work("tts", _FIRST_WINDOW_LETTERS),
        ]
        self._due_s = now_s + self._expected.answer_within_s

    def _done(self, *stages: str) -> None:
        self._work = [work for work in self._work if work.stage not in stages]
