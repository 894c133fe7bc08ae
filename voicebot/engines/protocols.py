"""One protocol per stage. An engine is a loaded model; what one request needs is passed in or returned.

A `Cancel` is asked between native calls, at least every 60 ms of work where the library allows it, and the engine
then raises CancelledWorkError. `Cancel.address` points at two bytes that native code may read by itself.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from voicebot.audio import Pcm
from voicebot.errors import VoicebotError


class Cancel(Protocol):
    """Whether the work at hand is still wanted."""

    @property
    def address(self) -> int:
        """Address of the C string that is empty while the work is wanted and one byte long after that."""

    def requested(self) -> bool:
        """Return whether the work is no longer wanted."""

    def raise_if_requested(self) -> None:
        """Raise CancelledWorkError if the work is no longer wanted."""


class Alarm(Protocol):
    """Raised by whoever cancels one of several requests that are computed together, after that one's own flag."""

    @property
    def address(self) -> int:
        """As that of a Cancel."""

    def clear(self) -> None:
        """Take note of it."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said, and how it was found out."""

    text: str
    """Empty when nothing was said."""
    mean_logprob: float
    no_speech_probability: float
    window_s: float
    """How much audio, silence included, the encoder saw."""
    fallback: bool
    """Whether a wider window or a larger model had to look after the first look."""
    hurried: bool = False
    """Whether there was no time for the full window, although the words may be wrong."""
    second_model: bool | None = None
    """Whether the larger model looked at doubtful words; false when there was no time for it, None when there is none
    or nothing was doubtful."""


@dataclass(frozen=True, slots=True)
class Speech:
    """Some audio of a clause."""

    pcm: Pcm
    word_ends: tuple[int, ...] = ()
    """Where the engine knows when its words end: with a sentence's first audio, for each of the clause's words (split
    at spaces) that ends in this sentence, the sample at which it does, counted from the clause's first sample. Put
    together they are one for each word of the clause. The pause after a word is not part of it.
    """


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Tool:
    """Something a reply may ask for by name."""

    name: str
    """Letters, digits, "_" and "-"."""
    description: str
    """When to use it and what for, in words for the model."""
    parameters: Mapping[str, Any]
    """A JSON schema of type "object" with only what `engines.tools` lets pass."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A reply's request to use a tool."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BrokenCall:
    """What began as a tool call and is none: cut short by the end of the reply, or no valid JSON."""

    text: str
    """All that stood between the marks of a call."""


ReplyPart = str | ToolCall | BrokenCall
"""A part of a reply, as it streams: some text, or one call."""


class VoiceGate(Protocol):
    """The cheap first look at every frame."""

    def opens(self, pcm: Pcm) -> bool:
        """Return whether a frame may hold speech. `pcm`: 320 int16 samples at 16 kHz."""


class VoiceDetector(Protocol):
    """The accurate look at audio near speech."""

    chunk_samples: int

    def probability(self, pcm: Pcm) -> float:
        """Return the probability of speech in the next `chunk_samples` of a stream."""

    def reset(self) -> None:
        """Forget the stream."""


class WakeWord(Protocol):
    """Waits in a stream for the word by which the assistant is called."""

    late_samples: int
    """How long after its end the word is noticed, about."""

    def hears(self, pcm: Pcm) -> bool:
        """Take the next audio, 16 kHz mono int16; return whether the word was noticed in it. Then it begins anew."""

    def reset(self) -> None:
        """Forget the stream."""


class Recognizer(Protocol):
    """Speech to text."""

    def transcribe(
        self, pcm: Pcm, cancel: Cancel, *, thorough: bool = True, within_s: float | None = None
    ) -> Transcript:
        """Return what was said in 16 kHz mono int16 audio of at most 30 s.

        `thorough`: doubtful words may be looked at again, which takes twice as long, or several times where that is
        done `within_s`; None is any time.
        """


@dataclass(frozen=True, slots=True)
class SlmRequest:
    """What a language model is asked about a conversation.

    "prefill": take it in, so that a request that begins with it starts at once. "end": how probable is it that a
    sentence, or all of it, ends right after the last message's text? "generate": reply.
    """

    op: Literal["prefill", "end", "generate"]
    messages: tuple[Message, ...]
    session: str = ""
    """Whose conversation it is. Requests of one session are answered one after the other."""
    max_tokens: int = 0
    """The longest reply."""
    begun: str = ""
    """How the reply begins already; it goes on from there."""
    within_s: float = math.inf
    """How soon the answer, or the first token of it, is wanted; infinity when nobody waits."""
    tools: tuple[Tool, ...] = ()
    """What the reply may call."""
    must_call: bool = False
    """Whether it has to, and to say nothing else."""
    spoken: bool = True
    """Whether the reply is for somebody to hear, so that its sentences may be kept as phrases; a summary is not."""
    confidence: bool = False
    """Whether each piece of the reply is to come with its probability."""


@dataclass(frozen=True, slots=True)
class Computed:
    """The answer to a prefill."""

    tokens: int
    """How many were not known already."""
    held: int
    """How many the conversation has."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """The answer to "end"."""

    probability: float


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text of a reply: one token's, but for characters that take several."""

    text: str
    logprob: float | None = None
    """The natural logarithm of its probability, where that was asked for."""


SlmItem = Computed | Weighed | Piece | ToolCall | BrokenCall


class Answer:
    """What a language model has answered so far. Whoever asked takes the items out; the model ends it."""

    def __init__(self) -> None:
        self.items: deque[SlmItem] = deque()
        self.ended = False
        self.error: VoicebotError | None = None
        """Why there is no more of it, when that is not because it is complete."""
        self.cpu_s = 0.0
        """Processor time that it took so far."""

    def end(self, error: VoicebotError | None = None) -> None:
        """Say that no more items will come."""
        self.ended = True
        self.error = error


class LanguageModel(Protocol):
    """Text to reply, for several sessions at a time: their requests advance together, step by step."""

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""

    def submit(self, request: SlmRequest, cancel: Cancel) -> Answer:
        """Take up a request. Its answer grows with every step; errors are in there too."""

    def step(self) -> None:
        """Advance the requests under way by one batch."""

    def rest(self) -> bool:
        """Do a little of what can wait until nothing is under way; returns whether there is more of it."""


@dataclass(frozen=True, slots=True)
class VoiceEnd:
    """How the voice sounded when it paused."""

    probability: float
    """That the speaker has finished, by the end-of-turn model."""
    pitch_semitones: float
    """Of the last voiced sound, relative to the middle of the utterance; 0 when there is none."""
    level_db: float
    """Of the last sound, relative to the whole utterance."""
    change: float
    """How fast the last sound changes, relative to the whole utterance: 1 is as fast."""


class TurnModel(Protocol):
    """How a voice sounds at a pause: finished or not."""

    def judge(self, pcm: Pcm, cancel: Cancel) -> VoiceEnd:
        """Return how the voice ended, from the turn's audio: 16 kHz mono int16; its last 8 s count."""


class Synthesizer(Protocol):
    """Clauses to speech."""

    def synthesize(self, text: str, *, first: bool, cancel: Cancel) -> Iterator[Speech]:
        """Yield the clause as 16 kHz mono int16. `first`: it opens a reply, so leading silence is trimmed."""
