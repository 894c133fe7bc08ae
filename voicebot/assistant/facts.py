"""What the user said of himself, or asked to be remembered: kept in his own words when the rest is summarised.

A fact begins with one of the phrases in the pipeline file, where a clause begins, and reaches to the end of its
sentence or to the next fact: "Hi, my name is Anna and I live in Berlin" holds two. What only asks holds none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from voicebot.config.history import HistorySettings

_SENTENCE_END: Final = re.compile(r"(?<=[.!?…])(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)(?<!\bSt\.)\s+|\n+")
_APOSTROPHES: Final = "['’]"  # noqa: RUF001 - the second is one that recognisers write
_CLAUSE_BEGINS: Final = "^|[,;:–—-]"  # noqa: RUF001 - dashes of any length
_AROUND: Final = " ,;:.!?…-–—"  # noqa: RUF001 - the same
_NEVER: Final = "(?!)"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something to be kept."""

    kind: str
    """What it is about: a later fact of the same kind replaces it."""
    text: str
    """The user's own words."""


class FactFinder:
    """Finds facts in what was said, by the phrases of a pipeline."""

    def __init__(self, settings: HistorySettings) -> None:
        self._single = re.compile(_any_of(settings.single_facts), re.IGNORECASE)
        leads, excluded = _any_of(settings.fact_leads), _any_of(settings.not_facts)
        begins = _any_of((*settings.single_facts, *settings.facts))
        self._fact = re.compile(rf"(?:{_CLAUSE_BEGINS}|{leads})\W*(?!{excluded})(?P<fact>{begins})", re.IGNORECASE)

    def find(self, text: str) -> Iterator[Fact]:
        """Yield the facts that are stated in a text, in its order."""
        for sentence in _SENTENCE_END.split(text):
            found = [match for match in self._fact.finditer(sentence) if _states(sentence, match)]
            bounds = [*(match.start() for match in found), len(sentence)]
            for match, end in zip(found, bounds[1:], strict=True):
                phrase, said = match["fact"], sentence[match.start("fact") : end].strip(_AROUND)
                if len(said) > len(phrase):
                    single = self._single.fullmatch(phrase) is not None
                    yield Fact(_compared(phrase if single else said), said)


def newest(facts: Iterable[Fact], most_letters: int) -> tuple[Fact, ...]:
    """Return the newest fact of each kind, as many of the newest as have so many letters together; oldest first."""
    by_kind: dict[str, Fact] = {}
    for fact in facts:
        by_kind.pop(fact.kind, None)  # so that it is among the newest again
        by_kind[fact.kind] = fact
    kept: list[Fact] = []
    for fact in reversed(by_kind.values()):
        if len(fact.text) <= most_letters:
            kept.append(fact)
            most_letters -= len(fact.text)
    return tuple(reversed(kept))


def _states(sentence: str, match: re.Match[str]) -> bool:
    """Return whether it is no question, or a request in the form of one: "Can you remember that ...?"."""
    return not sentence.rstrip().endswith("?") or match.start("fact") == 0


def _compared(text: str) -> str:
    return re.sub(_APOSTROPHES, "'", text.casefold())


def _any_of(phrases: Iterable[str]) -> str:
    """Return a pattern for any of the phrases as whole words, the longest first."""
    words = [[re.escape(word).replace("'", _APOSTROPHES) for word in phrase.split()] for phrase in phrases]
    patterns = sorted((r"\W+".join(each) for each in words if each), key=len, reverse=True)
    return rf"\b(?:{'|'.join(patterns)})\b" if patterns else _NEVER
