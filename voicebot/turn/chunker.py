"""Cuts a reply, as it streams, into the clauses that are spoken one at a time.

The first clause is cut at the first pause a speaker could make, so that sound begins early; later ones run to the
end of the sentence, since playback is ahead by then and whole sentences are spoken better.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from voicebot.turn.wording import Words, words

_SENTENCE_END: Final = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|\n+")  # noqa: RUF001 - quotes that models write
_PAUSE: Final = re.compile(r"[.!?…,;:]+[\"'”’»)\]]*(?=\s)|\s[-–—]+(?=\s)|\n+")  # noqa: RUF001 - and their dashes
_UP_TO_SPACE: Final = re.compile(r"\S*\s?")
_SENTENCE_MARKS: Final = (".", "!", "?", "…")
_CLOSING: Final = "\"'”’»)]"  # noqa: RUF001 - the quotes of before
_PAUSE_MARKS: Final = " .,;:-–—"  # noqa: RUF001 - the dashes of before
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
    open_words: frozenset[Words] = frozenset()
    """Words that no reply ends with, if it can be helped."""


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
                clause, self._text = self._text[:cut], self._text[cut:].lstrip()
                clauses.append(" ".join(clause.split()))
                self._first = False
                self._sentence_ended = clause[-1:] == "\n" or clause.rstrip(_CLOSING)[-1:] in _SENTENCE_MARKS
        return clauses

    def finish(self, *, cut_short: bool = False) -> list[str]:
        """Return what is left when the reply has ended.

        `cut_short`: it ended because it was too long. Then an unfinished sentence is left out. If it is the only one,
        or its beginning was returned before, it is ended at its last pause, or else after a word it can end with.
        """
        rest, self._text = self._text, ""
        if cut_short:
            rest = self._ended(rest)
        rest = " ".join(rest.split())
        return [rest] if rest else []

    def _ended(self, rest: str) -> str:
        """Return as much of what is left of a reply as may be its end."""
        sentences = [end.end() for end in _SENTENCE_END.finditer(f"{rest} ") if _is_whole(rest[: end.end()])]
        if sentences or self._sentence_ended:
            return rest[: max(sentences, default=0)]
        pauses = [pause.end() for pause in _PAUSE.finditer(f"{rest} ") if self._allowed(rest[: pause.end()])]
        if pauses:
            return _closed(rest[: pauses[-1]])
        known = rest.split()[:-1]  # the last one may be the beginning of a word
        while known and words(known[-1]) in self._rules.open_words:
            known.pop()
        if known:
            return _closed(" ".join(known))
        return rest if self._first else ""

    def _cut(self) -> int | None:
        pattern = _PAUSE if self._first else _SENTENCE_END
        for pause in pattern.finditer(self._text):
            if self._allowed(self._text[: pause.end()]):
                return pause.end()
        return self._cut_of_long_clause()

    def _allowed(self, clause: str) -> bool:
        enough = not self._first or sum(map(str.isalpha, clause)) >= self._rules.first_letters
        return enough and _is_whole(clause)

    def _cut_of_long_clause(self) -> int | None:
        most = self._rules.first_words if self._first else self._rules.later_words
        found = list(re.finditer(r"\S+(?=\s)", self._text))
        if len(found) <= most:
            return None
        pauses = [word.end() for word in found[:most] if word.group()[-1] in ",;:"]
        return pauses[-1] if pauses and not self._first else found[most - 1].end()


def _is_whole(clause: str) -> bool:
    """Return whether it has words, and the full stop at its end ends it."""
    return any(map(str.isalpha, clause)) and not _ABBREVIATION.search(clause)


def _closed(text: str) -> str:
    """Return a part of a sentence so that it is spoken like a whole one."""
    return f"{text.rstrip(_PAUSE_MARKS)}."
