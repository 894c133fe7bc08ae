"""Word error rate, and what is done to a text before words are counted.

Normalisation: text in round brackets is dropped (it describes sounds), case and punctuation are dropped, apostrophes
are removed, hyphens part words, single letters in a row are one word, `*`, `#`, `&` and `%` are read out, mr and mrs
are written out, and numbers are read as words: as one number up to four digits, and digit by digit beyond.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import num2words

_SIGNS: Final = {"*": " star ", "#": " pound ", "&": " and ", "%": " percent "}
_WRITTEN_OUT: Final = {"mr": "mister", "mrs": "missus"}
_LONGEST_NUMBER_DIGITS: Final = 4


def normalise(text: str) -> list[str]:
    """Return the words of a text, in the form in which they are compared."""
    text = re.sub(r"\([^)]*\)", " ", text.lower())
    for sign, words in _SIGNS.items():
        text = text.replace(sign, words)
    text = re.sub(r"['’]", "", text)  # noqa: RUF001 - both kinds occur
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    text = re.sub(r"\d+(?:st|nd|rd|th)?", _read_number, text)
    text = re.sub(r"[^\w\s]", " ", text)
    text = re.sub(r"\b(?:\w )+\w\b", _join_letters, " ".join(text.split()))
    return [_WRITTEN_OUT.get(word, word) for word in text.split()]


def word_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Return the least number of substitutions, deletions and insertions between them (Levenshtein)."""
    costs = list(range(len(hypothesis) + 1))
    for row, expected in enumerate(reference, 1):
        diagonal, costs[0] = costs[0], row
        for column, found in enumerate(hypothesis, 1):
            best = min(costs[column] + 1, costs[column - 1] + 1, diagonal + (expected != found))
            diagonal, costs[column] = costs[column], best
    return costs[-1]


def _read_number(match: re.Match[str]) -> str:
    digits = match.group().rstrip("stndrh")
    if len(digits) != len(match.group()):
        return f" {num2words.num2words(int(digits), to='ordinal')} "
    if len(digits) > _LONGEST_NUMBER_DIGITS or digits.startswith("0"):
        return " ".join(["", *(num2words.num2words(int(digit)) for digit in digits), ""])
    return f" {num2words.num2words(int(digits))} "


def _join_letters(match: re.Match[str]) -> str:
    letters = match.group().replace(" ", "")
    return letters if len(letters) > 2 and letters.isalpha() else match.group()
