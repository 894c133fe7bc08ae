"""Whose guesses are tried, how long they are, and what became of them: speculative decoding for all sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voicebot.engines.llama.acceptance import accepted_length
from voicebot.engines.llama.draft_length import Acceptance, Exploration, StepCosts, choose
from voicebot.engines.llama.draft_model import DraftModel, ModelDrafter
from voicebot.engines.llama.drafts import Draft, Drafter, NgramDrafter, Source
from voicebot.engines.llama.ngram import NgramIndex
from voicebot.engines.llama.phrase_book import PhraseBook
from voicebot.engines.llama.weights import Weights

MOST_DRAFTED: Final = 15
"""With the token before them a batch of 16."""
_LOOK_EVERY: Final = 3
"""Where nothing is repeated, guesses are looked for in every third step: looking takes up to 1 % of one."""
NO_DRAFT: Final = Draft((), "ngram")


@dataclass(slots=True)
class Guessers:
    """Those who guess in one session."""

    seen_before: Drafter
    model: ModelDrafter | None
    unused: int = 0
    """For how many steps no guess has been used."""


class Speculation:
    """Decides for each step of a reply how long a draft to verify with it; nearly always none where that can't pay."""

    def __init__(
        self, weights: Weights, costs: StepCosts, book: Path | None = None, model: DraftModel | None = None
    ) -> None:
        """`book`: where the sentences are kept that the assistant often says."""
        self._model = model
        self._costs = costs
        self._book = PhraseBook(book)
        self._phrases = NgramIndex()
        self._acceptance = Acceptance()
        self._exploration = Exploration()
        self.proposed: Counter[Source] = Counter()
        """Tokens that were tried so far, by source."""
        self.accepted: Counter[Source] = Counter()
        for sentence in self._book.sentences():
            self._phrases.add_sequence(weights.tokens(sentence, begin=False))

    def guessers(self, sequence: int) -> Guessers:
        """Return those who guess in one session, whose tokens are in that sequence."""
        model = None if self._model is None else self._model.drafter(sequence)
        return Guessers(NgramDrafter(self._phrases), model)

    def draft(self, guessers: Guessers, history: Sequence[int], others: int, most: int, abort: int) -> Draft:
        """Return what to verify in the next step: a guess at how the history goes on, empty when none would pay.

        `others`: tokens of other sessions in the same step. `abort` is as in `Context.decode`. Raises
        CancelledWorkError.
        """
        most = min(most, MOST_DRAFTED)
        guessers.unused += 1
        if most < 1 or (guessers.unused > _LOOK_EVERY and guessers.unused % _LOOK_EVERY):
            return NO_DRAFT
        if found := guessers.seen_before.propose(history, most):
            likely = self._acceptance.probability(found.source, found.match_length)
            if length := self._length(likely, 0.0, others, len(found)):
                guessers.unused = 0
                return found.first(length)
        if guessers.model is not None:
            likely = self._acceptance.probability("model", 0)
            if length := self._length(likely, guessers.model.ms_per_token, others, most):
                guessers.unused = 0
                return guessers.model.propose(history, length, abort)
        return NO_DRAFT

    def _length(self, likely: float, ms_per_token: float, others: int, most: int) -> int:
        paying = choose(self._costs, likely, ms_per_token, others, most)
        return paying or self._exploration.length(self._costs, ms_per_token, others, most)

    def learn(self, draft: Draft, emitted: list[int]) -> int:
        """Take note of what became of a draft; returns how many of its tokens were accepted."""
        accepted = accepted_length(draft, emitted)
        looked_at = min(len(draft), len(emitted))
        self._acceptance.observe(draft.source, draft.match_length, looked_at, accepted)
        self.proposed[draft.source] += len(draft)
        self.accepted[draft.source] += accepted
        return accepted

    def elapsed(self, ms: float) -> None:
        """Count the time of a step: a small share of it may go to trials."""
        self._exploration.elapsed(ms)

    def remember(self, tokens: Sequence[int], text: str) -> None:
        """Learn a reply that is complete: it may be said again."""
        if self._book.add(text):
            self._phrases.add_sequence(tokens)  # as they were chosen: " The" in a reply is another token than "The"
