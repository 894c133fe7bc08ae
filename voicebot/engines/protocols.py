"""One protocol per stage. An engine is a loaded model; what one request needs is passed in or returned.

A `Cancel` is asked between native calls, at least every 60 ms of work where the library allows it, and the engine
then raises CancelledWorkError. `Cancel.address` points at two bytes that native code may read by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from voicebot.audio import Pcm


class Cancel(Protocol):
    """Whether the work at hand is still wanted."""

    @property
    def address(self) -> int:
        """Address of the C string that is empty while the work is wanted and one byte long after that."""

    def requested(self) -> bool:
        """Return whether the work is no longer wanted."""

    def raise_if_requested(self) -> None:
        """Raise CancelledWorkError if the work is no longer wanted."""


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
    """Whether the full window had to be used after the short one."""


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


class Recognizer(Protocol):
    """Speech to text."""

    def transcribe(self, pcm: Pcm, cancel: Cancel, *, thorough: bool = True) -> Transcript:
        """Return what was said in 16 kHz mono int16 audio of at most 30 s.

        `thorough`: doubtful words may be looked at again, which takes several times as long.
        """


class LanguageModel(Protocol):
    """Text to reply."""

    def prefill(self, messages: tuple[Message, ...], cancel: Cancel) -> int:
        """Take in a conversation so far, so that a request that begins with it starts at once.

        Returns the number of tokens that were not known already.
        """

    def generate(
        self, messages: tuple[Message, ...], max_tokens: int, cancel: Cancel, begun: str = ""
    ) -> Iterator[str]:
        """Yield the reply to a conversation, as text, piece by piece; what goes on after `begun` if that is given."""

    def end_probability(self, messages: tuple[Message, ...], cancel: Cancel) -> float:
        """Return the probability that a sentence, or all of it, ends right after the last message's text."""


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
