"""What of a reply was heard, to the word, from the samples that were really played."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SAMPLES_PER_LETTER: Final = 1000
"""About 60 ms, as people speak: for a clause whose audio is not all there yet."""


@dataclass(slots=True)
class _Clause:
    text: str
    samples: int = 0
    played: int = 0
    complete: bool = False


class HeardReply:
    """The clauses of one reply, how much audio each has, and how much of it was played."""

    def __init__(self) -> None:
        self._clauses: list[_Clause] = []

    def add_clause(self, text: str) -> int:
        """Announce the next clause; returns its number."""
        self._clauses.append(_Clause(text))
        return len(self._clauses) - 1

    def add_audio(self, clause: int, samples: int) -> None:
        """More of that clause's audio was synthesised."""
        self._clauses[clause].samples += samples

    def complete_clause(self, clause: int) -> None:
        """All of that clause's audio was synthesised."""
        self._clauses[clause].complete = True

    def add_played(self, clause: int, samples: int) -> None:
        """More of that clause's audio was played."""
        self._clauses[clause].played += samples

    @property
    def text(self) -> str:
        """The whole reply as far as it was synthesised."""
        return " ".join(clause.text for clause in self._clauses)

    @property
    def heard(self) -> str:
        """The words that were played to their end, each word taking time in proportion to its letters."""
        return " ".join(filter(None, map(_heard_words, self._clauses)))


def _heard_words(clause: _Clause) -> str:
    if clause.played == 0:
        return ""
    if clause.complete and clause.played >= clause.samples:
        return clause.text
    samples = clause.samples if clause.complete else max(clause.samples, len(clause.text) * _SAMPLES_PER_LETTER)
    words = clause.text.split()
    weights = [len(word) + 1 for word in words]
    reached = clause.played / samples * sum(weights)
    heard, position = 0, 0.0
    for weight in weights:
        position += weight
        if position > reached:
            break
        heard += 1
    return " ".join(words[:heard])
