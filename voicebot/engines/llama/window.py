"""Which part of a conversation the model sees: all of it, or the newest part where the context is too small."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Final

from voicebot.engines.llama.weights import Weights
from voicebot.engines.protocols import Message, Tool
from voicebot.errors import EngineError

_log = logging.getLogger(__name__)
_MARK: Final = Message("system", "(Earlier parts of this conversation are left out.)")
_AIM: Final = 0.8
"""How full the context is made when something has to be left out, so that it does not happen with every turn."""
_PLACE: Final = "\ufffc"
"""Stands for a text whose place in the rendered conversation is looked for; nobody says it."""


class Window:
    """One session's view of its conversation.

    What was left out once stays out while the conversation goes on, so that what is computed stays useful.
    """

    def __init__(self, weights: Weights, capacity: int) -> None:
        self._weights = weights
        self._capacity = capacity
        self._left_out: tuple[Message, ...] = ()

    def unfinished(self, messages: tuple[Message, ...], room: int, tools: Sequence[Tool] = ()) -> list[int]:
        """Return the tokens up to the end of the last message's text, without what closes the message.

        Both of these raise EngineError where the conversation does not fit and leaves `room` for so many tokens.
        """

        def render(shown: tuple[Message, ...]) -> str:
            last = shown[-1]
            marked = (*shown[:-1], dataclasses.replace(last, content=_PLACE))
            return self._weights.render(marked, tools, reply=False).rpartition(_PLACE)[0] + last.content

        return self._fit(messages, render, room)

    def answered(self, messages: tuple[Message, ...], room: int, tools: Sequence[Tool] = ()) -> list[int]:
        """Return the tokens after which the reply begins."""
        return self._fit(messages, lambda shown: self._weights.render(shown, tools, reply=True), room)

    def _fit(self, messages: tuple[Message, ...], render: Callable[[tuple[Message, ...]], str], room: int) -> list[int]:
        """`room`: how many more tokens the context has to have room for."""
        system = messages[:1] if messages and messages[0].role == "system" else ()
        rest = messages[len(system) :]
        goes_on = len(self._left_out) < len(rest) and rest[: len(self._left_out)] == self._left_out
        dropped = len(self._left_out) if goes_on else 0
        most = self._capacity
        while True:
            tokens = self._tokens(system, rest[dropped:], render, marked=dropped > 0)
            if len(tokens) + room <= most:
                break
            most = int(self._capacity * _AIM)
            if dropped + 2 >= len(rest):
                if len(tokens) + room <= self._capacity:
                    break
                raise EngineError(
                    f"{len(tokens)} tokens and a reply of {room} don't fit into a context of {self._capacity}; "
                    "shorten the text or raise slm.context_tokens."
                )
            dropped += 2
        if dropped > len(self._left_out):
            _log.info("left out the oldest %d messages: the context is full", dropped)
        self._left_out = rest[:dropped]
        return tokens

    def _tokens(
        self,
        system: tuple[Message, ...],
        rest: tuple[Message, ...],
        render: Callable[[tuple[Message, ...]], str],
        *,
        marked: bool,
    ) -> list[int]:
        if marked:
            try:
                return self._weights.tokens(render((*system, _MARK, *rest)))
            except EngineError:
                _log.debug("the model's template has no place for a mark")
        return self._weights.tokens(render(system + rest))
