"""One request in progress: what it has to read, and the reply that it is writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voicebot.engines.llama.calls import CallSplitter
from voicebot.engines.llama.guesses import Guesses
from voicebot.engines.llama.sampling import Sampler
from voicebot.engines.llama.weights import TextStream, Weights
from voicebot.engines.protocols import Answer, Cancel, Piece, ReplyPart, SlmRequest


class Reply:
    """A reply in the making: the tokens chosen so far, and their text."""

    def __init__(self, weights: Weights, sampler: Sampler, request: SlmRequest, answer: Answer) -> None:
        self.sampler = sampler
        self.tokens: list[int] = []
        self.text = ""
        self.left = request.max_tokens
        """How many more tokens it may have."""
        self.guesses = Guesses()
        self._weights = weights
        self._text = TextStream()
        self._calls = CallSplitter() if request.tools else None
        self._answer = answer

    @property
    def pending(self) -> int:
        """The token that was chosen last, and that the model has not taken in yet."""
        return self.tokens[-1]

    def add(self, token: int, logprob: float | None = None) -> None:
        """Go on with this token; the reply may end with it."""
        if self._weights.ends_reply(token):
            self.left = 0
            return
        self.tokens.append(token)
        self.left -= 1
        text = self._text.feed(self._weights.piece(token))
        self.text += text
        # Also an empty one, of a character that is not complete: who counts the pieces counts the tokens.
        self._pass_on([text] if self._calls is None else self._calls.feed(text), logprob)

    def finish(self) -> None:
        """Pass on what was held back: it is no call after all, or a broken one."""
        if self._calls is not None:
            self._pass_on(self._calls.finish(), None)

    def _pass_on(self, parts: Sequence[ReplyPart], logprob: float | None) -> None:
        for part in parts:
            if not isinstance(part, str) and part in self._answer.items:
                self.left = 0  # a small model that repeats its call does not find an end by itself
                return
            self._answer.items.append(Piece(part, logprob) if isinstance(part, str) else part)


@dataclass(slots=True)
class Job:
    """A request, and how far it has come."""

    request: SlmRequest
    cancel: Cancel
    answer: Answer
    target: list[int]
    """What the slot has to hold for it."""
    arrived_s: float
    reply: Reply | None = None
    aligned: bool = False
    """Whether the slot holds a beginning of the target and nothing else."""
    computed: int = field(default=0)
    """How many tokens of the target the slot did not hold."""

    @property
    def needs_logits(self) -> bool:
        """Whether what follows the target is asked for."""
        return self.request.op != "prefill"

    @property
    def replying(self) -> bool:
        """Whether the reply has begun."""
        return self.reply is not None and bool(self.reply.tokens)

    def close(self) -> None:
        """Free what only it needs."""
        if self.reply is not None:
            self.reply.sampler.close()


def log_probability(logits: NDArray[np.float32], token: int) -> float:
    """Return the natural logarithm of the probability that the model itself gives to a token."""
    highest = logits.max()
    return float(logits[token] - highest - np.log(np.exp(logits - highest).sum()))
