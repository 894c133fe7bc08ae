"""What of a reply was heard, to the word, from the samples that were really played."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Final

_SAMPLES_PER_LETTER: Final = 1000
"""About 60 ms, as people speak: for a clause whose audio is not all there yet."""
_UNHEARD_SHARE: Final = 0.2
_UNHEARD_SAMPLES: Final = 960
"""A word is known before its last sound is over, and said again it would sound like a stutter. So it counts as heard
when no more than a fifth of it, and no more than 60 ms, was not played."""


@dataclass(slots=True)
class _Clause:
    text: str
    word_ends: list[int] = field(default_factory=list)
    samples: int = 0
    played: int = 0
    complete: bool = False

    @property
    def words(self) -> list[str]:
        return self.text.split()

    @property
    def all_played(self) -> bool:
        return self.complete and self.played >= self.samples

    def ends(self) -> Sequence[float]:
        """Return where its words end: as the engine said, else in proportion to their letters."""
        if self.word_ends:
            return self.word_ends
        letters = list(accumulate(len(word) + 1 for word in self.words))
        samples = self.samples if self.complete else max(self.samples, len(self.text) * _SAMPLES_PER_LETTER)
        return [samples * reached / letters[-1] for reached in letters]

    def heard(self) -> int:
        """Return how many of its words were heard."""
        if not self.played:
            return 0
        if self.all_played:
            return len(self.words)
        needed = [end - self._unheard(end - start) for start, end in pairwise([0, *self.ends()])]
        return next((index for index, end in enumerate(needed) if self.played < end), len(needed))

    def _unheard(self, samples: float) -> float:
        """Return how much of a word of that length need not be played."""
        return min(samples * _UNHEARD_SHARE, _UNHEARD_SAMPLES) if self.word_ends else 0


class HeardReply:
    """The clauses of one reply, how much audio each has, and how much of it was played."""

    def __init__(self) -> None:
        self._clauses: list[_Clause] = []

    def add_clause(self, text: str) -> int:
        """Announce the next clause; returns its number."""
        self._clauses.append(_Clause(text))
        return len(self._clauses) - 1

    def add_words(self, clause: int, word_ends: Sequence[int]) -> None:
        """Say at which samples of that clause its next words end."""
        self._clauses[clause].word_ends += word_ends

    def add_audio(self, clause: int, samples: int) -> None:
        """More of that clause's audio was synthesised."""
        self._clauses[clause].samples += samples

    def complete_clause(self, clause: int) -> None:
        """All of that clause's audio was synthesised."""
        self._clauses[clause].complete = True

    def add_played(self, clause: int, samples: int) -> None:
        """More of that clause's audio was played."""
        self._clauses[clause].played += samples

    def rewind_to_word(self) -> tuple[int, int]:
        """Go back to the beginning of the first word that was not heard; what was played after it counts no more.

        Returns that word's clause and the sample there, from which on it is to be played again. If all was heard, that
        is the end of the last clause while more of it may come, else the beginning of the clause after it.
        """
        for number, clause in enumerate(self._clauses):
            heard = clause.heard()
            if clause.all_played or (clause.complete and heard == len(clause.words)):
                clause.played = clause.samples
                continue
            begin = math.ceil(clause.ends()[heard - 1]) if heard else 0
            clause.played = min(clause.played, begin)
            for later in self._clauses[number + 1 :]:
                later.played = 0
            return number, clause.played
        return len(self._clauses), 0

    @property
    def text(self) -> str:
        """The whole reply as far as it was synthesised."""
        return " ".join(clause.text for clause in self._clauses)

    @property
    def heard(self) -> str:
        """The words that were heard.

        A word whose time is not known takes time in proportion to its letters, and was heard if it was played to its
        end.
        """
        return " ".join(filter(None, map(_heard_words, self._clauses)))


def _heard_words(clause: _Clause) -> str:
    heard = clause.heard()
    return clause.text if heard == len(clause.words) else " ".join(clause.words[:heard])
