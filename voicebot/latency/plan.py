"""How a turn keeps its deadline: which rung of its ladder every stage takes, and which were late after all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Final, NamedTuple

from voicebot.config.pipeline import BudgetSettings, ClauseSettings, LadderSettings
from voicebot.latency.costs import Costs
from voicebot.latency.ladder import LadderRules, Place, choose
from voicebot.latency.misses import Misses, Spent, causes

LETTERS_PER_TOKEN: Final = 4.0
TOKENS_PER_WORD: Final = 1.4
"""Of a reply, its signs included."""
LETTERS_PER_WORD: Final = 5.5
WORDS_PER_S: Final = 3.0
"""Of speech, the pauses between clauses included."""
USUAL_WORDS: Final = 8
"""Of a request, and of the first clause of its reply."""
_LEAST_WORDS: Final = 6
"""Of a later clause at its longest: shorter ones sound chopped, and each begins with a window of sound of its own."""
_MOST_WORDS: Final = 100
_FOR_EACH_OTHER: Final = 0.5
"""A step of the language model takes so much longer for each that shares it: 4.6 times as long for eight, by v(k)."""


class Shape(NamedTuple):
    """How a reply is cut, and how long it may be."""

    clauses: ClauseSettings
    max_tokens: int


class Ladders:
    """Where the stages of a box stand, for all its sessions. Without costs, all of them at full quality."""

    def __init__(self, costs: Costs | None = None, settings: LadderSettings | None = None) -> None:
        self.costs = costs
        self.settings = settings or LadderSettings()
        self.misses = Misses()
        self.pressure = 0.0
        """0 to 1: how much heat, or whatever else, asks for less work than the deadlines do."""
        self._rules = LadderRules(self.settings.slack, self.settings.calm_turns)
        self._places: dict[str, Place] = {}

    @property
    def rungs(self) -> Mapping[str, int]:
        """How far down each ladder the latest turn stood; 0 is full quality."""
        return {ladder: place.rung for ladder, place in self._places.items()}

    def plan(self, left_s: Callable[[], float]) -> Plan:
        """Return the plan of a reply; `left_s` tells how long it is until its first sound is due."""
        return Plan(self, left_s)

    def choose(self, ladder: str, careful_s: Sequence[float], left_s: float) -> int:
        """Return the rung to take, as `ladder.choose`."""
        before = self._places.get(ladder, Place())
        place = choose(careful_s, left_s, before, self._rules, pressure=self.pressure)
        self._places[ladder] = place
        return place.rung


class Plan:
    """That of one revision."""

    def __init__(self, ladders: Ladders, left_s: Callable[[], float]) -> None:
        self._ladders = ladders
        self._left_s = left_s
        self._costs = ladders.costs if ladders.settings.enabled else None
        self.rungs: dict[str, str] = {}
        """What was taken instead of full quality, by the ladder's name."""
        self.spent: list[Spent] = []
        """Its requests, as they ended."""

    def recognition_s(self) -> float | None:
        """Return how long recognition may take; None where nobody counts."""
        if self._costs is None:
            return None
        return self._left_s() - self._until_sound_s(self._costs, USUAL_WORDS * LETTERS_PER_WORD, USUAL_WORDS)

    def shape(self, letters: int, clauses: ClauseSettings, max_tokens: int) -> Shape:
        """Return how the reply to a request of so many letters is made, at most as long as it may be.

        A first clause is no shorter than covers the making of the next one, which would be late instead; and what
        follows it is short enough to be there when it has been heard.
        Whoever is late although others wait for the same model is shorter as well, for their sake.
        """
        costs, settings = self._costs, self._ladders.settings
        if costs is None:
            return Shape(clauses, max_tokens)
        words = [clauses.first_words]
        for few in settings.first_words:
            if few < clauses.first_words:
                words.append(few if self._covered_words(costs, few) >= _LEAST_WORDS else words[-1])
        careful_s = [self._until_sound_s(costs, letters, few) for few in words]
        left_s = self._left_s()
        taken = self._take("first clause", careful_s, left_s, [f"{few} words" for few in words])
        crowded_s = careful_s[taken] if costs.under_way("slm") else 0.0
        short = self._take("reply", (crowded_s, 0.0), left_s, ("", "short")) > 0
        most = max(1, round(settings.short_reply * max_tokens)) if short else max_tokens
        later = min(clauses.later_words, max(_LEAST_WORDS, self._covered_words(costs, words[taken])))
        return Shape(clauses.model_copy(update={"first_words": words[taken], "later_words": later}), most)

    def ended(
        self,
        late: Sequence[str],
        durations_ms: Mapping[str, float],
        marks: Mapping[str, int],
        budget: BudgetSettings,
    ) -> dict[str, str]:
        """Count what was late, and return it with its cause. Arguments as those of `misses.causes`."""
        found = causes(late, durations_ms, marks, self.spent, budget)
        self._ladders.misses.count(found)
        return found

    def _take(self, ladder: str, careful_s: Sequence[float], left_s: float, names: Sequence[str]) -> int:
        rung = self._ladders.choose(ladder, careful_s, left_s)
        if rung:
            self.rungs[ladder] = names[rung]
        return rung

    def _until_sound_s(self, costs: Costs, letters: float, first_words: int) -> float:
        """Return how long it takes from the words to the first sound of a reply with so long a first clause."""
        return costs.careful_s("slm_read", letters / LETTERS_PER_TOKEN) + sum(_clause_s(costs, first_words))

    def _covered_words(self, costs: Costs, first_words: int) -> int:
        """Return how many words the next clause can have that are there when so many have been heard."""
        heard_s = (1 - self._ladders.settings.slack) * first_words / WORDS_PER_S
        slower = 1 + _FOR_EACH_OTHER * costs.under_way("slm")
        words = 0
        while words < _MOST_WORDS:
            decoding_s, sounding_s = _clause_s(costs, words + 1)
            if slower * decoding_s + sounding_s > heard_s:
                break
            words += 1
        return words


def _clause_s(costs: Costs, words: int) -> tuple[float, float]:
    """Return how long a clause of so many words takes the language model, and from there to its first sound."""
    decoding_s = costs.careful_s("slm", words * TOKENS_PER_WORD)
    return decoding_s, costs.careful_s("tts_first", words * LETTERS_PER_WORD)


planned: ContextVar[Plan | None] = ContextVar("planned", default=None)
"""The plan of the revision that a task works for."""
