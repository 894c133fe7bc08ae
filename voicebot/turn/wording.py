"""Words as they are compared: small, without punctuation, and phrases found in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")  # noqa: RUF001 - an apostrophe that recognisers write
_JOINTS: Final = re.compile(r"['’-]")  # noqa: RUF001 - the same

Words = tuple[str, ...]


def words(text: str) -> Words:
    """Return the text's words: "Mm-hm, what's that?" is ("mmhm", "whats", "that")."""
    return tuple(_JOINTS.sub("", word).casefold() for word in _WORD.findall(text))


def phrases(texts: Iterable[str]) -> frozenset[Words]:
    """Return each text's words, for the functions below."""
    return frozenset(filter(None, map(words, texts)))


def begins_with(spoken: Sequence[str], known: frozenset[Words]) -> bool:
    """Return whether one of the phrases is said first."""
    return any(tuple(spoken[: len(phrase)]) == phrase for phrase in known)


def consists_of(spoken: Sequence[str], known: frozenset[Words]) -> bool:
    """Return whether nothing but those phrases is said, one after the other."""
    reached = {0}
    for position in range(len(spoken)):
        if position in reached:
            reached |= {position + len(p) for p in known if tuple(spoken[position : position + len(p)]) == p}
    return len(spoken) in reached


def share_said_in(spoken: Sequence[str], text: Sequence[str]) -> float:
    """Return the share of the spoken words that lie in order, and without a gap longer than 2 words, in the text.

    What the microphone has of our own voice is words of the reply, some of them lost or wrong.
    """
    if not spoken:
        return 0.0
    matched: dict[int, int] = {}  # by the place of the last of them in the text, the most words that lie there
    for word in spoken:
        places = [at for at, other in enumerate(text) if other == word]
        longer = {at: 1 + max(matched.get(before, 0) for before in range(at - 3, at)) for at in places}
        matched |= {at: max(count, matched.get(at, 0)) for at, count in longer.items()}
    return max(matched.values(), default=0) / len(spoken)
