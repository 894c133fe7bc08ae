"""Whose guesses are tried, how long they are, and what became of them: speculative decoding for all sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from voicebot.engines.llama.acceptance import accepted_length
from voicebot.engines.llama.draft_length import Acceptance, Exploration, StepCosts, choose
from voicebot.engines.llama.draft_model import DraftModel, ModelDrafter
from voicebot.engines.llama.drafts import Draft, Drafter, NgramDrafter, Source
from voicebot.engines.llama.guesses import Guesses
from voicebot.engines.llama.ngram import NgramIndex
from voicebot.engines.llama.phrase_book import PhraseBook
from voicebot.engines.llama.weights import Weights

MOST_DRAFTED: Final = 15
"""With the token before them a batch of 16."""
NO_DRAFT: Final = Draft((), "ngram")


@dataclass(slots=True)
class Guessers:
    """Those who guess in one session."""

    seen_before: Drafter
    model: ModelDrafter | None


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
        self._sentence_ends = frozenset(weights.sentence_ends())
        self.proposed: Counter[Source] = Counter()
        """Tokens that were tried so far, by source."""
        self.accepted: Counter[Source] = Counter()
        for sentence in self._book.sentences():
            self._phrases.add_sequence(weights.tokens(sentence, begin=False))

    def guessers(self, sequence: int) -> Guessers:
        """Return those who guess in one session, whose tokens are in that sequence."""
        model = None if self._model is None else self._model.drafter(sequence)
        return Guessers(NgramDrafter(self._phrases), model)

    def draft(
        self, guessers: Guessers, guesses: Guesses, history: Sequence[int], others: int, most: int, abort: int
    ) -> Draft:
        """Return what to verify in the next step: a guess at how the history goes on, empty when none would pay.

        `guesses`: those at this reply. `others`: tokens of other sessions in the same step. `abort` is as in
        `Context.decode`. Raises CancelledWorkError.
        """
        most = min(most, MOST_DRAFTED)
        if watched := guesses.watched(history):
            guess, right = watched
            self._acceptance.observe(guess.source, guess.match_length, len(guess), right)
            guesses.judge(len(guess), right)
        if most > 0 and guesses.look() and (found := self._said_before(guessers, history, most)):
            likely = self._acceptance.probability(found.source, found.match_length)
            if length := choose(self._costs, likely, 0.0, others, min(len(found), guesses.room)):
                return found.first(length)
            guesses.watch(found, len(history))
        if most > 0 and guessers.model is not None:
            likely, ms_per_token = self._acceptance.probability("model", 0), guessers.model.ms_per_token
            length = choose(self._costs, likely, ms_per_token, others, most)
            if length := length or self._exploration.length(self._costs, ms_per_token, others, most):
                return guessers.model.propose(history, length, abort)
        return NO_DRAFT

    def learn(self, guesses: Guesses, draft: Draft, emitted: list[int]) -> int:
        """Take note of what became of a draft; returns how many of its tokens were accepted."""
        accepted = accepted_length(draft, emitted)
        looked_at = min(len(draft), len(emitted))
        self._acceptance.observe(draft.source, draft.match_length, looked_at, accepted)
        if draft.source != "model":
            guesses.judge(len(draft), accepted)
        self.proposed[draft.source] += len(draft)
        self.accepted[draft.source] += accepted
        return accepted

    def _said_before(self, guessers: Guessers, history: Sequence[int], most: int) -> Draft | None:
        """Return how it went on before, within a sentence: whoever quotes often stops at the end of one.

        So only what a sentence has in common with an earlier one tells how surely it goes on like it.
        """
        found = guessers.seen_before.propose(history, most)
        if found is None:
            return None
        recent = reversed(history[-found.match_length :])
        matched = next((count for count, token in enumerate(recent) if token in self._sentence_ends), len(history))
        match_length = max(NgramIndex.SHORTEST, min(matched, found.match_length))
        return replace(found.through(self._sentence_ends), match_length=match_length)

    def elapsed(self, ms: float) -> None:
        """Count the time of a step: a small share of it may go to trials."""
        self._exploration.elapsed(ms)

    def remember(self, tokens: Sequence[int], text: str) -> None:
        """Learn a reply that is complete: it may be said again."""
        if self._book.add(text):
            self._phrases.add_sequence(tokens)  # as they were chosen: " The" in a reply is another token than "The"
