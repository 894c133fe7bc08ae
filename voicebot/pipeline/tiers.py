"""The language models that a request may go to, and what is known about each: its load, its speed, its health."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from voicebot.assistant.router import Conditions
from voicebot.clock import Clock
from voicebot.config.tiers import FIRST_TIER, TierSettings
from voicebot.engines.protocols import Message, Piece

_log = logging.getLogger(__name__)
_NEWEST_SHARE: Final = 0.3
"""Of the newest first token in the running mean of how long they take."""
_MORE_THAN_WAITED: Final = 1.1
"""What a first token that was not waited for is taken to have needed."""


class TierModel(Protocol):
    """A language model that replies in pieces."""

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        """Take in a conversation so far; returns how many tokens had to be computed."""

    def pieces(
        self,
        messages: tuple[Message, ...],
        max_tokens: int,
        begun: str = "",
        *,
        session: str = "",
        confidence: bool = False,
    ) -> AsyncGenerator[Piece, None]:
        """Yield the reply; `confidence`: each piece with its log-probability, if the model can tell."""


class SmallModel(TierModel, Protocol):
    """The first tier, which does everything else as well."""

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        """Return the probability that a sentence ends right after the last message's text."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A reply that is wanted; what goes on after `begun` if that is given."""

    messages: tuple[Message, ...]
    max_tokens: int
    begun: str
    session: str


async def unknown_temperature() -> float | None:
    """Return None."""
    return None


class Tiers:
    """All models by their tier's name, and how they have been doing."""

    def __init__(
        self,
        small: SmallModel,
        further: Sequence[TierSettings],
        models: Mapping[str, TierModel],
        clock: Clock,
        *,
        rest_ms: float,
        temperature_c: Callable[[], Awaitable[float | None]] = unknown_temperature,
    ) -> None:
        """`models`: of the further tiers. `rest_ms`: how long one that has failed is left alone."""
        self.small = small
        self.further = tuple(further)
        self._models: dict[str, TierModel] = {FIRST_TIER: small, **models}
        self._most_tokens = {tier.name: tier.max_tokens for tier in further if tier.max_tokens}
        self._clock = clock
        self._rest_s = rest_ms / 1000
        self._temperature_c = temperature_c
        self._in_flight: Counter[str] = Counter()
        self._first_token_ms: dict[str, float] = {}
        self._rests_until_s: dict[str, float] = {}

    def model(self, name: str) -> TierModel:
        """Return the model of the tier with that name."""
        return self._models[name]

    async def conditions(self) -> Conditions:
        """Return how things are at the moment."""
        temperature_c = await self._temperature_c()
        now_s = self._clock.now_s()
        resting = frozenset(name for name, until_s in self._rests_until_s.items() if until_s > now_s)
        return Conditions(dict(self._in_flight), dict(self._first_token_ms), resting, temperature_c)

    async def pieces(self, name: str, asked: Asked, *, confidence: bool = False) -> AsyncGenerator[Piece, None]:
        """Yield a tier's reply; it counts as in flight until it has ended or been left."""
        most = min(asked.max_tokens, self._most_tokens.get(name, asked.max_tokens))
        began_s, first = self._clock.now_s(), True
        self._in_flight[name] += 1
        try:
            async with aclosing(
                self._models[name].pieces(
                    asked.messages, most, asked.begun, session=asked.session, confidence=confidence
                )
            ) as pieces:
                async for piece in pieces:
                    if first:
                        self._took(name, (self._clock.now_s() - began_s) * 1000)
                        first = False
                    yield piece
        finally:
            self._in_flight[name] -= 1

    def failed(self, name: str, error: Exception) -> None:
        """Leave a tier alone for a while."""
        reason = str(error).rstrip(".")
        _log.warning("the tier %s failed (%s) and is not asked for %.0f s", name, reason, self._rest_s)
        self._rests_until_s[name] = self._clock.now_s() + self._rest_s

    def late(self, name: str, waited_ms: float) -> None:
        """Take note that a tier has not begun its reply in the little time that there was for it."""
        _log.info("the tier %s did not answer within the %.0f ms that were left", name, waited_ms)
        self._took(name, waited_ms * _MORE_THAN_WAITED)

    def _took(self, name: str, first_token_ms: float) -> None:
        usual_ms = self._first_token_ms.get(name, first_token_ms)
        self._first_token_ms[name] = usual_ms + _NEWEST_SHARE * (first_token_ms - usual_ms)
