"""Cuts a reply, as it streams, into the clauses that are spoken one at a time.

The first clause is cut at the first pause a speaker could make, so that sound begins early; later ones run to the
end of the sentence, since playback is ahead by then and whole sentences are spoken better.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_SENTENCE_END: Final = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|\n+")  # noqa: RUF001 - quotes that models write
_PAUSE: Final = re.compile(r"[.!?…,;:]+[\"'”’»)\]]*(?=\s)|\s[-–—]+(?=\s)|\n+")  # noqa: RUF001 - and their dashes
_UP_TO_SPACE: Final = re.compile(r"\S*\s?")
_SENTENCE_MARKS: Final = (".", "!", "?", "…")
_ABBREVIATION: Final = re.compile(
    r"\b(?:mr|mrs|ms|dr|prof|st|vs|etc|no|e\.g|i\.e|approx|[a-z])\.$|(?:^|\n)[ \t]*\d+\.$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class ClauseRules:
    """How long a clause may be."""

    first_letters: int
    """The first clause is not cut before it has as many letters."""
    first_words: int
    """The first clause is cut after as many words even without a pause."""
    later_words: int
    """Later clauses are cut at a pause, or at last at a word, beyond as many words."""


class ClauseChunker:
    """One reply's text, in; its clauses, out. Joined by single spaces they are the whole text."""

    def __init__(self, rules: ClauseRules) -> None:
        self._rules = rules
        self._text = ""
        self._first = True
        self._sentence_ended = False

    def feed(self, text: str) -> list[str]:
        """Add streamed text and return the clauses that are now complete.

        Every cut is decided at the space after it, so that it does not matter in what pieces the text comes.
        """
        clauses: list[str] = []
        for piece in _UP_TO_SPACE.findall(text):
            self._text = (self._text + piece).lstrip()
            while piece[-1:].isspace() and (cut := self._cut()) is not None:
                clauses.append(" ".join(self._text[:cut].split()))
                self._text = self._text[cut:].lstrip()
                self._first = False
                self._sentence_ended = clauses[-1].rstrip("\"')]")[-1:] in _SENTENCE_MARKS
        return clauses

    def finish(self, *, cut_short: bool = False) -> list[str]:
        """Return what is left when the reply has ended.

        `cut_short`: it ended because it was too long. Of an unfinished sentence only as much is left as ends at a
        pause; all of it when the sentence's beginning has been spoken already and it has no further pause.
        """
        rest, self._text = self._text, ""
        if cut_short:
            pauses = [pause.end() for pause in _PAUSE.finditer(f"{rest} ") if self._allowed(rest[: pause.end()])]
            if pauses:
                rest = rest[: pauses[-1]]
            elif self._sentence_ended:
                rest = ""
        rest = " ".join(rest.split())
        return [rest] if rest else []

    def _cut(self) -> int | None:
        pattern = _PAUSE if self._first else _SENTENCE_END
        for pause in pattern.finditer(self._text):
            if self._allowed(self._text[: pause.end()]):
                return pause.end()
        return self._cut_of_long_clause()

    def _allowed(self, clause: str) -> bool:
        if _ABBREVIATION.search(clause):
            return False
        letters = sum(map(str.isalpha, clause))
        return letters > 0 and (not self._first or letters >= self._rules.first_letters)

    def _cut_of_long_clause(self) -> int | None:
        most = self._rules.first_words if self._first else self._rules.later_words
        words = list(re.finditer(r"\S+(?=\s)", self._text))
        if len(words) <= most:
            return None
        pauses = [word.end() for word in words[:most] if word.group()[-1] in ",;:"]
        return pauses[-1] if pauses and not self._first else words[most - 1].end()
