"""Several language models as one: each request goes to one of them, and the small local one stands in for all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from typing import Final

from voicebot.assistant.router import RouteRequest, choose, mean_logprob, patience_ms, should_raise, time_for_others_ms
from voicebot.clock import Clock
from voicebot.config.tiers import FIRST_TIER, RouterSettings, TierSettings
from voicebot.engines.protocols import Message, Piece
from voicebot.errors import EngineError, VoicebotError
from voicebot.pipeline.tiers import Asked, Tiers

_log = logging.getLogger(__name__)
_SAMPLE_SHARE: Final = 0.5
"""Of the time to the deadline that a look at the small model's first tokens may take; the rest is another tier's."""
_MOST_SESSIONS: Final = 256


@dataclass(frozen=True, slots=True)
class _Begun:
    """A reply under way: whose it is, what was held back of it so far, and what follows."""

    tier: str
    held: Sequence[Piece]
    rest: AsyncGenerator[Piece, None]


class RoutedSlm:
    """A pipeline's Slm over a small model and further tiers."""

    def __init__(self, tiers: Tiers, rules: RouterSettings, clock: Clock) -> None:
        self._tiers = tiers
        self._rules = rules
        self._clock = clock
        self._last_local: dict[str, str] = {}

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        """Let the small model take in a conversation so far, and the local one that answered in it last."""
        computed = await self._tiers.small.prefill(messages, session=session)
        last = self._last_local.get(session, FIRST_TIER)
        if last != FIRST_TIER:
            with contextlib.suppress(VoicebotError):
                await self._tiers.model(last).prefill(messages, session=session)
        return computed

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        """Return the small model's probability that a sentence ends right after the last message's text."""
        return await self._tiers.small.end_probability(messages, session=session)

    async def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        """Yield the reply piece by piece; what goes on after `begun` if that is given."""
        async with aclosing(self.pieces(messages, max_tokens, begun, session=session)) as pieces:
            async for piece in pieces:
                yield piece.text

    async def pieces(
        self,
        messages: tuple[Message, ...],
        max_tokens: int,
        begun: str = "",
        *,
        session: str = "",
        confidence: bool = False,
    ) -> AsyncGenerator[Piece, None]:
        """Yield the reply. Where a further tier fails, the small one goes on from there; its errors are raised."""
        del confidence
        asked = Asked(messages, max_tokens, begun, session)
        async with AsyncExitStack() as streams:
            reply = await self._begin(asked, streams)
            said: list[Piece] = []
            try:
                for piece in reply.held:
                    said.append(piece)
                    yield piece
                async for piece in reply.rest:
                    said.append(piece)
                    yield piece
            except VoicebotError as error:
                if reply.tier == FIRST_TIER:
                    raise
                self._tiers.failed(reply.tier, error)
            else:
                return
            if len(said) < max_tokens:
                async for piece in self._open(FIRST_TIER, _after(asked, said), streams):
                    yield piece

    async def _begin(self, asked: Asked, streams: AsyncExitStack) -> _Begun:
        """Begin the reply of one tier. Until this returns, nothing of any has been handed on."""
        tiers, rules, began_s = self._tiers, self._rules, self._clock.now_s()
        conditions = await tiers.conditions()
        if asked.begun:
            # Not every endpoint can go on with half a reply.
            name = self._last_local.get(asked.session, FIRST_TIER)
            may_raise = False
        else:
            name = choose(RouteRequest(asked.messages[-1].content, rules.deadline_ms), tiers.further, conditions, rules)
            may_raise = should_raise(-math.inf, rules.deadline_ms, tiers.further, conditions, rules) is not None
        if name != FIRST_TIER:
            left_ms = time_for_others_ms(self._left_ms(began_s), conditions)
            reply = await self._begin_further(name, asked, left_ms, streams)
            return reply or _Begun(FIRST_TIER, (), self._open(FIRST_TIER, asked, streams))
        self._remember(asked.session, FIRST_TIER)
        small = self._open(FIRST_TIER, asked, streams, confidence=may_raise)
        held, ended = await self._first_tokens(small, asked.max_tokens, began_s) if may_raise else ([], False)
        sure = mean_logprob([piece.logprob for piece in held])
        left_ms = self._left_ms(began_s)
        better = should_raise(sure, left_ms, tiers.further, await tiers.conditions(), rules)
        if better is None:
            return _Begun(FIRST_TIER, held, small)
        if not self._tier(better).remote and not ended:
            # On one box the two would share its cores. What follows is asked for again only if it is needed.
            await small.aclose()
            small = self._open(FIRST_TIER, _after(asked, held), streams)
        reply = await self._begin_further(better, asked, left_ms, streams)
        if reply is not None:
            await small.aclose()
        return reply or _Begun(FIRST_TIER, held, small)

    async def _begin_further(self, name: str, asked: Asked, left_ms: float, streams: AsyncExitStack) -> _Begun | None:
        """Begin a further tier's reply; None when it has failed, or not begun in time."""
        tier = self._tier(name)
        wait_ms = patience_ms(tier, left_ms)
        rest = self._open(name, asked, streams)
        try:
            async with asyncio.timeout(wait_ms / 1000):
                first = await anext(rest, None)
            if first is None:
                raise EngineError("no answer")
        except TimeoutError:
            if wait_ms < tier.first_token_ms:
                self._tiers.late(name, wait_ms)
            else:
                self._tiers.failed(name, EngineError(f"no first token within {wait_ms:.0f} ms"))
        except VoicebotError as error:
            self._tiers.failed(name, error)
        else:
            self._remember(asked.session, FIRST_TIER if tier.remote else name)
            _log.info("the tier %s answers", name)
            return _Begun(name, (first,), rest)
        return None

    async def _first_tokens(
        self, small: AsyncGenerator[Piece, None], max_tokens: int, began_s: float
    ) -> tuple[list[Piece], bool]:
        """Take what the small model says first: enough to tell how sure it is, as far as there is time.

        Returns it, and whether it is the whole reply.
        """
        held: list[Piece] = []
        async for piece in small:
            held.append(piece)
            late = self._left_ms(began_s) < (1 - _SAMPLE_SHARE) * self._rules.deadline_ms
            if late or len(held) >= self._rules.sample_tokens:
                return held, len(held) == max_tokens
        return held, True

    def _open(
        self, name: str, asked: Asked, streams: AsyncExitStack, *, confidence: bool = False
    ) -> AsyncGenerator[Piece, None]:
        stream = self._tiers.pieces(name, asked, confidence=confidence)
        streams.push_async_callback(stream.aclose)
        return stream

    def _tier(self, name: str) -> TierSettings:
        return next(tier for tier in self._tiers.further if tier.name == name)

    def _left_ms(self, began_s: float) -> float:
        return self._rules.deadline_ms - (self._clock.now_s() - began_s) * 1000

    def _remember(self, session: str, tier: str) -> None:
        """Keep which local tier a session was answered by, of the sessions that were answered last."""
        self._last_local.pop(session, None)
        self._last_local[session] = tier
        while len(self._last_local) > _MOST_SESSIONS:
            del self._last_local[next(iter(self._last_local))]


def _after(asked: Asked, said: Sequence[Piece]) -> Asked:
    """Return what is to be asked for the rest of a reply."""
    text = "".join(piece.text for piece in said)
    return replace(asked, max_tokens=asked.max_tokens - len(said), begun=asked.begun + text)
