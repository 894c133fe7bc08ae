"""Guesses at the tokens that come next, and who makes them. A wrong guess costs time, never the text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from voicebot.engines.llama.ngram import NgramIndex

Source = Literal["ngram", "phrases", "model"]
"""Found earlier in this conversation, found in the phrase book, or said by a draft model."""

_TAIL: Final = 16
"""So many equal tokens show well enough that a history goes on where the index ends."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Tokens that may come next.

    `probabilities`, shape (tokens, vocabulary size), are those with which each token was drawn; None for tokens that
    were not drawn by chance. `match_length` is how many tokens before the draft led to it; 0 for a model's.
    """

    tokens: tuple[int, ...]
    source: Source
    probabilities: NDArray[np.float64] | None = None
    match_length: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    def first(self, length: int) -> Self:
        """Return the draft's first tokens, `length` at most."""
        probabilities = None if self.probabilities is None else self.probabilities[:length]
        return replace(self, tokens=self.tokens[:length], probabilities=probabilities)

    def through(self, ends: Collection[int]) -> Self:
        """Return the draft up to the first of these tokens, that one included; all of it where there is none."""
        return self.first(next((place for place, token in enumerate(self.tokens, 1) if token in ends), len(self)))


class Drafter(Protocol):
    """Guesses how a sequence goes on, at no cost."""

    def propose(self, history: Sequence[int], most: int) -> Draft | None:
        """Return 1 to `most` tokens that may follow all tokens of the sequence so far, or None."""
        ...


class NgramDrafter:
    """Finds the last tokens earlier in the conversation, or in the phrase book that all sessions share."""

    def __init__(self, phrases: NgramIndex) -> None:
        self._phrases = phrases
        self._conversation = NgramIndex()

    def propose(self, history: Sequence[int], most: int) -> Draft | None:
        """See Drafter. The place where more of the last tokens are the same is preferred."""
        self._follow(history)
        last = history[-NgramIndex.LONGEST :]
        own = self._conversation.find(last, most)
        shared = self._phrases.find(last, most)
        if own and (not shared or own.length >= shared.length):
            return Draft(own.tokens, "ngram", match_length=own.length)
        if shared:
            return Draft(shared.tokens, "phrases", match_length=shared.length)
        return None

    def _follow(self, history: Sequence[int]) -> None:
        """Make the index hold the history. What differs only further back than the tail stays: it is a guess anyway."""
        held = self._conversation.length
        same = list(history[max(0, held - _TAIL) : held]) == self._conversation.tail(_TAIL)
        if held > len(history) or not same:
            held = self._conversation.common_prefix(history)
            self._conversation.truncate(held)
        self._conversation.extend(history[held:])
