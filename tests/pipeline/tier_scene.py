"""Scripted tiers for tests of routing, in virtual time: each says its words at its pace and notes what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from voicebot.clock import LoopClock
from voicebot.config.tiers import RouterSettings, TierSettings
from voicebot.engines.protocols import Message, Piece
from voicebot.errors import EngineError
from voicebot.pipeline.routed import RoutedSlm
from voicebot.pipeline.tiers import Tiers, unknown_temperature

LARGE = TierSettings(name="large", engine="llama", model="x", first_token_ms=600)
OFFICE = TierSettings(name="office", engine="openai", model="y", url="http://10.0.0.2/v1", first_token_ms=500)
SIMPLE = "What is the capital of France?"
COMPLEX = "Why is the sky blue?"
HARD = "Why is the sky blue? And what is twelve times seven?"


@dataclass
class Tier:
    """A scripted model. `fails_after`: pieces; `stalls_after`: it never says more than those."""

    words: str
    first_ms: float = 60
    each_ms: float = 10
    logprob: float | None = -0.1
    fails_after: int | None = None
    stalls_after: int | None = None
    asked: list[tuple[str, int, str]] = field(default_factory=list)
    """The last message, the most tokens and the beginning of each reply that was asked for."""
    prefills: list[str] = field(default_factory=list)
    said: int = 0
    left: int = 0
    """Replies that were left before their end."""

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        self.prefills.append(f"{session}: {messages[-1].content}")
        if self.fails_after == 0:
            raise EngineError("the scripted prefill fails.")
        return 7

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        return 0.25

    async def pieces(
        self,
        messages: tuple[Message, ...],
        max_tokens: int,
        begun: str = "",
        *,
        session: str = "",
        confidence: bool = False,
    ) -> AsyncGenerator[Piece, None]:
        self.asked.append((messages[-1].content, max_tokens, begun))
        wait_ms = self.first_ms
        try:
            for number, word in enumerate(self.words.split()[len(begun.split()) :][:max_tokens]):
                if number == self.stalls_after:
                    await asyncio.Event().wait()
                await asyncio.sleep(wait_ms / 1000)
                wait_ms = self.each_ms
                if number == self.fails_after:
                    raise EngineError("the scripted model fails.")
                self.said += 1
                yield Piece(f"{word} ", self.logprob if confidence else None)
        except (GeneratorExit, asyncio.CancelledError):
            self.left += 1
            raise


def routed(
    small: Tier,
    tiers: dict[TierSettings, Tier],
    rules: RouterSettings | None = None,
    temperature_c: Callable[[], Awaitable[float | None]] = unknown_temperature,
) -> RoutedSlm:
    """Return those models as one."""
    clock, used = LoopClock(), rules or RouterSettings()
    models = {tier.name: model for tier, model in tiers.items()}
    known = Tiers(small, [*tiers], models, clock, rest_ms=used.rest_ms, temperature_c=temperature_c)
    return RoutedSlm(known, used, clock)


@dataclass(frozen=True)
class Heard:
    """A reply and when its pieces came, in ms since it was asked for."""

    text: str
    at_ms: Sequence[int]

    @property
    def first_ms(self) -> int:
        return self.at_ms[0]


async def ask(slm: RoutedSlm, text: str, most: int = 60, begun: str = "", session: str = "") -> Heard:
    """Take the whole reply."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    texts, at_ms = [], []
    async with aclosing(slm.generate((Message("user", text),), most, begun, session=session)) as stream:
        async for piece in stream:
            texts.append(piece)
            at_ms.append(round((loop.time() - began_s) * 1000))
    return Heard("".join(texts).strip(), at_ms)
