"""What the pipeline asks of the heavy stages. Leaving an iteration early cancels the work behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from voicebot.audio import Pcm
from voicebot.engines.protocols import Message, Speech, Transcript, VoiceDetector, VoiceEnd, VoiceGate, WakeWord
from voicebot.events import Observer, ignore
from voicebot.latency.plan import Ladders


class Asr(Protocol):
    """Speech to text."""

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
        """Return what was said in 16 kHz mono int16.

        `thorough`: doubtful words may be looked at again, which takes twice as long, or several times where that is
        done `within_s`; None is any time.
        """


class Slm(Protocol):
    """Text to reply. `session`: whose conversation it is; each has its own place in the model's memory."""

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        """Take in a conversation so far; returns how many tokens had to be computed."""

    def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        """Yield the reply piece by piece; what goes on after `begun` if that is given."""

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        """Return the probability that a sentence ends right after the last message's text."""


class TurnModel(Protocol):
    """How the user's voice sounds at a pause."""

    async def judge(self, pcm: Pcm) -> VoiceEnd:
        """Return how the voice ended, from the turn's audio up to the pause: 16 kHz mono int16."""


class Tts(Protocol):
    """Clauses to speech."""

    def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        """Yield a clause's audio as it is made."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Everything that a session needs to be heard, understood and answered."""

    asr: Asr
    slm: Slm
    tts: Tts
    make_gate: Callable[[], VoiceGate]
    make_detector: Callable[[], VoiceDetector]
    apology: Pcm
    turn: TurnModel | None = None
    """None when the pipeline has no such model."""
    openers: tuple[Pcm, ...] = ()
    """Phrases that cover a wait; empty where there are none."""
    ladders: Ladders = field(default_factory=Ladders)
    """How the stages keep the deadlines; by default they do all they can, however long it takes."""
    processor: Callable[[], Mapping[str, Any]] = dict
    """What is told of the processor that they run on, as JSON values; nothing blocks."""
    attend: Observer = ignore
    """Who sees to it that the processor is as fast as the sessions need it: is told what happens in them."""
    make_wake_word: Callable[[], WakeWord] | None = None
    """None when the pipeline waits for no such word."""
