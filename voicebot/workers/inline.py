"""The stages served by scripted engines in the daemon's own process, taking the time they pretend to take."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from voicebot.audio import Pcm
from voicebot.clock import Clock
from voicebot.engines.protocols import Message, Piece, Speech, Transcript, VoiceEnd
from voicebot.engines.scripted import ScriptedModel, ScriptedRecognizer, ScriptedSynthesizer, ScriptedTurn


class _NeverCancelled:
    """An awaiting task is cancelled by asyncio, so that the engine itself never has to look."""

    address = 0

    def requested(self) -> bool:
        return False

    def raise_if_requested(self) -> None:
        return


_WANTED = _NeverCancelled()


class InlineAsr:
    """A scripted recogniser as a stage."""

    def __init__(self, engine: ScriptedRecognizer, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
        """Return the scripted words after the pretended time."""
        del thorough, within_s
        await self._clock.sleep_s(self._engine.pace.first_ms / 1000)
        return self._engine.transcribe(pcm, _WANTED)


class InlineSlm:
    """A scripted language model as a stage."""

    def __init__(self, engine: ScriptedModel, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        """Know everything already."""
        del session
        return self._engine.prefill(messages, _WANTED)

    async def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        """Yield the scripted reply at its pretended pace; what goes on after `begun` if that is given."""
        del session
        wait_ms = self._engine.pace.first_ms
        for text in self._engine.generate(messages, max_tokens, _WANTED, begun):
            await self._clock.sleep_s(wait_ms / 1000)
            wait_ms = self._engine.pace.each_ms
            yield text

    async def pieces(
        self,
        messages: tuple[Message, ...],
        max_tokens: int,
        begun: str = "",
        *,
        session: str = "",
        confidence: bool = False,
    ) -> AsyncGenerator[Piece, None]:
        """Yield the same in pieces; a script is never unsure."""
        del confidence
        async with aclosing(self.generate(messages, max_tokens, begun, session=session)) as texts:
            async for text in texts:
                yield Piece(text, 0.0)

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        """Return what the script thinks of the last message, after a tenth of the time to a first token."""
        del session
        await self._clock.sleep_s(self._engine.pace.first_ms / 10_000)
        return self._engine.end_probability(messages, _WANTED)


class InlineTurn:
    """A scripted end-of-turn model as a stage."""

    def __init__(self, engine: ScriptedTurn, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def judge(self, pcm: Pcm) -> VoiceEnd:
        """Return the scripted end after the pretended time."""
        await self._clock.sleep_s(self._engine.pace.first_ms / 1000)
        return self._engine.judge(pcm, _WANTED)


class InlineTts:
    """A scripted synthesizer as a stage."""

    def __init__(self, engine: ScriptedSynthesizer, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        """Yield the hum after the pretended time."""
        await self._clock.sleep_s(self._engine.pace.first_ms / 1000)
        for speech in self._engine.synthesize(text, first=first, cancel=_WANTED):
            yield speech
