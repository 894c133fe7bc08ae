"""What the pipeline asks of the heavy stages. Leaving an iteration early cancels the work behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Protocol

from voicebot.audio import Pcm
from voicebot.engines.protocols import Message, Transcript, VoiceDetector, VoiceGate


class Asr(Protocol):
    """Speech to text."""

    async def transcribe(self, pcm: Pcm) -> Transcript:
        """Return what was said in 16 kHz mono int16."""


class Slm(Protocol):
    """Text to reply."""

    async def prefill(self, messages: tuple[Message, ...]) -> int:
        """Take in a conversation so far; returns how many tokens had to be computed."""

    def generate(self, messages: tuple[Message, ...], max_tokens: int) -> AsyncGenerator[str, None]:
        """Yield the reply piece by piece."""


class Tts(Protocol):
    """Clauses to speech."""

    def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Pcm, None]:
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
