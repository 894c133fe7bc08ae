"""The engine, but that speculation can be switched and what it does is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from voicebot.engines.llama.draft_length import StepCosts
from voicebot.engines.llama.draft_model import DraftModel
from voicebot.engines.llama.drafts import Draft
from voicebot.engines.llama.engine import LlamaEngine
from voicebot.engines.llama.guesses import Guesses
from voicebot.engines.llama.speculation import Guessers, Speculation
from voicebot.engines.llama.weights import Weights


class ObservedSpeculation(Speculation):
    """Counts how long its drafts were, and keeps the tokens of the last reply."""

    def __init__(
        self, weights: Weights, costs: StepCosts, book: Path | None = None, model: DraftModel | None = None
    ) -> None:
        super().__init__(weights, costs, book, model)
        self.lengths: Counter[int] = Counter()
        """Steps of replies by the length of their draft, 0 included."""
        self.said: tuple[int, ...] = ()
        """The last reply's tokens."""

    def draft(
        self, guessers: Guessers, guesses: Guesses, history: Sequence[int], others: int, most: int, abort: int
    ) -> Draft:
        """See Speculation."""
        found = super().draft(guessers, guesses, history, others, most, abort)
        self.lengths[len(found)] += 1
        return found

    def remember(self, tokens: Sequence[int], text: str) -> None:
        """See Speculation."""
        self.said = tuple(tokens)
        super().remember(tokens, text)


class ObservedEngine(LlamaEngine):
    """The engine under test. A session keeps its guessers, so only new ones notice a switch."""

    def fresh_speculation(self, costs: StepCosts | None = None) -> ObservedSpeculation:
        """Return one that knows no earlier reply and no acceptance; `costs` instead of those measured here."""
        return ObservedSpeculation(self._weights, costs or self._costs, model=self._drafts)

    def use(self, speculation: ObservedSpeculation, *, drafting: bool) -> None:
        """Have this one learn from the next replies, and draft for them if it is to."""
        self._settings = self._settings.model_copy(update={"speculation": drafting})
        self.speculation = speculation
