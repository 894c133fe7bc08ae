"""Guesses of a smaller model with the same vocabulary."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.context import BATCH_TOKENS, Context, Span
from voicebot.engines.llama.drafts import Draft
from voicebot.engines.llama.sampling import Sampler
from voicebot.engines.llama.tokens import common_prefix
from voicebot.engines.llama.weights import Weights
from voicebot.errors import EngineError

_KEPT: Final = 0.98
"""What is left of the cost so far when the next draft's is added: about the last fifty count."""


class DraftModel:
    """A second model in memory, with a sequence for each of the target's. Raises EngineError when it does not suit."""

    def __init__(self, model: Path, target: Weights, settings: SlmSettings, threads: int, prefill_threads: int) -> None:
        self._weights = Weights(model)
        if not self._weights.same_vocabulary(target):
            raise EngineError(f"{model} has another vocabulary than the model that it is to draft for; choose another.")
        cells = settings.slots * settings.context_tokens
        self._context = Context(self._weights, cells, settings.slots, threads, prefill_threads, settings.kv_type)
        plain = {"repeat_penalty": 1.0}
        self._sampler = Sampler(settings.model_copy(update=plain), self._weights.vocabulary_size)
        self._random = np.random.default_rng(settings.seed)
        self._spent_ms = self._drafted = 0.0

    @property
    def ms_per_token(self) -> float:
        """What a drafted token took lately, reading what was said in between included; 0 when none was drafted."""
        return self._spent_ms / self._drafted if self._drafted else 0.0

    def drafter(self, sequence: int) -> ModelDrafter:
        """Return a guesser for one of the target's sequences."""
        return ModelDrafter(self, sequence)

    def draft(self, sequence: int, held: list[int], history: Sequence[int], most: int, abort: int) -> Draft:
        """Return the `most` tokens that this model would say next; drawn by chance where the target's are.

        `held`: what the sequence holds; kept up to date. Raises CancelledWorkError, and then it still is.
        """
        began_s = time.perf_counter()
        kept = min(common_prefix(held, history), len(history) - 1)
        self._context.forget(sequence, kept)
        del held[kept:]
        tokens: list[int] = []
        probabilities = []
        unread = list(history[kept:])
        while len(tokens) < most:
            row = self._read(sequence, held, unread, abort)
            logits = self._context.logits(row)
            if self._sampler.greedy:
                tokens.append(int(logits.argmax()))
            else:
                likely = self._sampler.distribution(logits)
                probabilities.append(likely)
                tokens.append(int(self._random.choice(len(likely), p=likely / likely.sum())))
            unread = tokens[-1:]
        self._spent_ms = self._spent_ms * _KEPT + (time.perf_counter() - began_s) * 1000
        self._drafted = self._drafted * _KEPT + len(tokens)
        return Draft(tuple(tokens), "model", np.array(probabilities) if probabilities else None)

    def close(self) -> None:
        """Free its memory."""
        self._sampler.close()
        self._context.close()
        self._weights.close()

    def _read(self, sequence: int, held: list[int], tokens: Sequence[int], abort: int) -> int:
        """Take tokens in; returns the row of what follows the last one."""
        row = 0
        for begin in range(0, len(tokens), BATCH_TOKENS):
            part = tokens[begin : begin + BATCH_TOKENS]
            (first,) = self._context.decode([Span(sequence, len(held), part, (len(part) - 1,))], abort)
            held += part
            row = first + len(part) - 1
        return row


class ModelDrafter:
    """The draft model's view of one session."""

    def __init__(self, model: DraftModel, sequence: int) -> None:
        self._model = model
        self._sequence = sequence
        self._held: list[int] = []

    @property
    def ms_per_token(self) -> float:
        """What a guess costs, for each of its tokens."""
        return self._model.ms_per_token

    def propose(self, history: Sequence[int], most: int, abort: int) -> Draft:
        """Return `most` tokens that may follow."""
        return self._model.draft(self._sequence, self._held, history, most, abort)
