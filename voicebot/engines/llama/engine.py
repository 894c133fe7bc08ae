"""The language model as the pipeline sees it: one slot for now, used by one request at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.sampling import Sampler
from voicebot.engines.llama.slot import Slot
from voicebot.engines.llama.weights import TextStream, Weights
from voicebot.engines.protocols import Cancel, Message
from voicebot.errors import EngineError

_log = logging.getLogger(__name__)


class LlamaEngine:
    """A GGUF model with one slot. Raises EngineError when it does not load."""

    def __init__(self, model: Path, settings: SlmSettings, threads: int, prefill_threads: int) -> None:
        self._weights = Weights(model)
        self._slot = Slot(self._weights, settings.context_tokens, threads, prefill_threads)
        self._sampler = Sampler(settings, self._weights.vocabulary_size)

    def prefill(self, messages: tuple[Message, ...], cancel: Cancel) -> int:
        """Compute the conversation so far; returns how many tokens were not known already."""
        return self._slot.advance_to(self._fit(messages, room=1, reply=False), cancel)

    def generate(self, messages: tuple[Message, ...], max_tokens: int, cancel: Cancel) -> Iterator[str]:
        """Yield the reply piece by piece, until the model ends it or `max_tokens` are reached."""
        self._sampler.reset()
        self._slot.advance_to(self._fit(messages, room=max_tokens, reply=True), cancel)
        text = TextStream()
        for count in range(max_tokens):
            token = self._sampler.next_token(self._slot)
            if self._weights.ends_reply(token):
                return
            if piece := text.feed(self._weights.piece(token)):
                yield piece
            if count + 1 < max_tokens:
                self._slot.decode([token], cancel)

    def next_probabilities(
        self, messages: tuple[Message, ...], candidates: tuple[str, ...], cancel: Cancel
    ) -> tuple[float, ...]:
        """Return how probable each candidate's first token is right after the last message's text."""
        rendered = self._weights.render(messages, reply=False)
        last = messages[-1].content
        opened = rendered[: rendered.rindex(last) + len(last)]
        self._slot.advance_to(self._weights.tokens(opened), cancel)
        probabilities = self._slot.probabilities()
        return tuple(float(probabilities[self._weights.tokens(candidate)[0]]) for candidate in candidates)

    def close(self) -> None:
        """Free all memory."""
        self._sampler.close()
        self._slot.close()
        self._weights.close()

    def _fit(self, messages: tuple[Message, ...], *, room: int, reply: bool) -> list[int]:
        """Return the conversation's tokens, its oldest exchanges left out where the context is too small."""
        system = messages[:1] if messages and messages[0].role == "system" else ()
        rest = messages[len(system) :]
        dropped = 0
        while True:
            tokens = self._weights.tokens(self._weights.render(system + rest[dropped:], reply=reply))
            if len(tokens) + room <= self._slot.capacity:
                break
            dropped += 2
            if dropped >= len(rest):
                raise EngineError(
                    f"{len(tokens)} tokens and a reply of {room} don't fit into a context of "
                    f"{self._slot.capacity}; shorten the text or raise slm.context_tokens."
                )
        if dropped:
            _log.info("left out the oldest %d messages: the context is full", dropped)
        return tokens
