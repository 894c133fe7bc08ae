"""The language model as the pipeline sees it: one slot for now, used by one request at a time."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.sampling import Sampler
from voicebot.engines.llama.slot import Slot
from voicebot.engines.llama.weights import TextStream, Weights
from voicebot.engines.protocols import Cancel, Message
from voicebot.errors import EngineError

_log = logging.getLogger(__name__)
_SENTENCE_ENDS: Final = (".", "?", "!")
_MARK: Final = "\ufffc"
"""Stands for a text whose place in the rendered conversation is looked for; nobody says it."""


class LlamaEngine:
    """A GGUF model with one slot. Raises EngineError when it does not load."""

    def __init__(self, model: Path, settings: SlmSettings, threads: int, prefill_threads: int) -> None:
        self._weights = Weights(model)
        self._slot = Slot(self._weights, settings.context_tokens, threads, prefill_threads)
        self._left_out: tuple[Message, ...] = ()
        self._sampler = Sampler(settings, self._weights.vocabulary_size)
        signs = [self._weights.tokens(sign, begin=False)[0] for sign in _SENTENCE_ENDS]
        self._ends = sorted({*signs, *self._weights.reply_ends()})

    def prefill(self, messages: tuple[Message, ...], cancel: Cancel) -> int:
        """Compute the conversation so far; returns how many tokens were not known already."""
        render = self._unfinished if messages[-1].role == "user" else self._closed  # the user may go on
        return self._slot.advance_to(self._fit(messages, render, room=1), cancel)

    def generate(
        self, messages: tuple[Message, ...], max_tokens: int, cancel: Cancel, begun: str = ""
    ) -> Iterator[str]:
        """Yield the reply piece by piece, until the model ends it or `max_tokens` are reached."""
        beginning = self._weights.tokens(begun, begin=False) if begun else []
        self._sampler.reset(beginning)
        prompt = self._fit(messages, self._answered, room=max_tokens + len(beginning))
        self._slot.advance_to(prompt + beginning, cancel)
        text = TextStream()
        for count in range(max_tokens):
            token = self._sampler.next_token(self._slot)
            if self._weights.ends_reply(token):
                return
            if piece := text.feed(self._weights.piece(token)):
                yield piece
            if count + 1 < max_tokens:
                self._slot.decode([token], cancel)

    def end_probability(self, messages: tuple[Message, ...], cancel: Cancel) -> float:
        """Return the probability that a sentence ends, or the message, right after the last message's text."""
        self._slot.advance_to(self._fit(messages, self._unfinished, room=1), cancel)
        return float(self._slot.probabilities()[self._ends].sum())

    def close(self) -> None:
        """Free all memory."""
        self._sampler.close()
        self._slot.close()
        self._weights.close()

    def _closed(self, messages: tuple[Message, ...]) -> str:
        return self._weights.render(messages, reply=False)

    def _answered(self, messages: tuple[Message, ...]) -> str:
        return self._weights.render(messages, reply=True)

    def _unfinished(self, messages: tuple[Message, ...]) -> str:
        """Render up to the end of the last message's text, without what closes the message."""
        last = messages[-1]
        marked = self._weights.render((*messages[:-1], dataclasses.replace(last, content=_MARK)), reply=False)
        return marked.rpartition(_MARK)[0] + last.content

    def _fit(
        self, messages: tuple[Message, ...], render: Callable[[tuple[Message, ...]], str], *, room: int
    ) -> list[int]:
        """Return the conversation's tokens, its oldest exchanges left out where the context is too small.

        What was left out once stays out while the conversation goes on, so that what is computed stays useful.
        """
        system = messages[:1] if messages and messages[0].role == "system" else ()
        rest = messages[len(system) :]
        goes_on = len(self._left_out) < len(rest) and rest[: len(self._left_out)] == self._left_out
        dropped = len(self._left_out) if goes_on else 0
        while True:
            tokens = self._weights.tokens(render(system + rest[dropped:]))
            if len(tokens) + room <= self._slot.capacity:
                break
            dropped += 2
            if dropped >= len(rest):
                raise EngineError(
                    f"{len(tokens)} tokens and a reply of {room} don't fit into a context of "
                    f"{self._slot.capacity}; shorten the text or raise slm.context_tokens."
                )
        if dropped > len(self._left_out):
            _log.info("left out the oldest %d messages: the context is full", dropped)
        self._left_out = rest[:dropped]
        return tokens
