"""How much thinking a request takes, told from its words alone. Pure: the score comes with its reasons."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from voicebot.config.tiers import RouterSettings

_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[-+*/%]")  # noqa: RUF001 - the apostrophe that models write
_SENTENCE_END: Final = re.compile(r"[.?!]+(?=\s|$)")
_NEAR_WORDS: Final = 2


@dataclass(frozen=True, slots=True)
class Complexity:
    """The points of a request and what each was given for."""

    points: int
    reasons: tuple[str, ...]


def complexity(text: str, rules: RouterSettings) -> Complexity:
    """Return how complex a request is.

    Two points: it asks for reasoning, for arithmetic, or for more than one thing; it names two tools; it is twice as
    long as a long one. One point: it is long, it has many clauses, it names a tool.
    """
    words = _WORD.findall(text.lower())
    line = f" {' '.join(words)} "
    clauses = 1 + sum(words.count(joiner) for joiner in rules.joiners)
    asks = len(_SENTENCE_END.findall(text.strip()))
    points = {
        "long": min(2, len(words) // rules.long_words),
        "clauses": int(clauses >= rules.many_clauses),
        "reasoning": 2 * (_named(rules.reasoning, line) > 0),
        "arithmetic": 2 * _calculates(words, rules),
        "parts": 2 * (asks > 1 or _named(rules.more_parts, line) > 0),
        "tools": min(2, _named(rules.tools, line)),
    }
    return Complexity(sum(points.values()), tuple(reason for reason, given in points.items() if given))


def _named(phrases: Iterable[str], line: str) -> int:
    """Return how many of the phrases occur in a line of words with a space on either side."""
    return sum(f" {phrase} " in line for phrase in phrases)


def _calculates(words: list[str], rules: RouterSettings) -> bool:
    """Return whether a number stands beside an operator, as in "12 times 7" and "the square root of 81"."""
    numbers = [at for at, word in enumerate(words) if word.isdigit() or word in rules.numbers]
    for operator in rules.operators:
        parts = operator.split(" ")
        for begin in range(len(words) - len(parts) + 1):
            end = begin + len(parts)
            if words[begin:end] == parts and any(begin - _NEAR_WORDS <= at < end + _NEAR_WORDS for at in numbers):
                return True
    return False
