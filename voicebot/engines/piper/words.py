"""When the words of a clause end, from its phonemes and how long each of them lasts.

Espeak gives the phonemes of whole sentences: it joins some words ("in the"), makes several of others ("2024"), and
changes sounds at their borders. So each word's phonemes, as it sounds alone, are aligned with those of the clause.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

_STRESS: Final = {"\N{MODIFIER LETTER VERTICAL LINE}", "\N{MODIFIER LETTER LOW VERTICAL LINE}"}
"""Stress depends on the sentence, and would only hide what is alike."""
_PAUSES: Final = set(" .,;:!?…—-\"'()¿¡«»")
Phonemes = Sequence[str]


@dataclass(frozen=True, slots=True)
class WordEnd:
    """A word ends after so many phonemes of a sentence, both counted from 0."""

    sentence: int
    phonemes: int


def word_ends(sentences: Sequence[Phonemes], words: Sequence[str], alone: Callable[[str], Phonemes]) -> list[WordEnd]:
    """Return where each word ends, in order. `alone` returns the phonemes of a word as it sounds by itself.

    A word whose last sounds are not found again ends in proportion between those that are; one without a sound ends
    where the one before it does.
    """
    expected: list[str] = []
    ends: list[int] = []
    for word in words:
        sounds = _unstressed(alone(word))
        spoken = [index for index, phoneme in enumerate(sounds) if phoneme not in _PAUSES]
        ends.append(len(expected) + spoken[-1] + 1 if spoken else max(0, len(expected) - 1))
        expected += [*sounds, " "]
    actual: list[str] = []
    places = [WordEnd(0, 0)]
    for number, sentence in enumerate(sentences):
        for index, phoneme in enumerate([*sentence, " "]):
            if phoneme not in _STRESS:
                actual.append(phoneme)
                places.append(WordEnd(number, min(index + 1, len(sentence))))
    blocks = SequenceMatcher(None, expected, actual, autojunk=False).get_matching_blocks()
    there = [0, *(place for block in blocks for place in (block.a, block.a + block.size))]
    here = [0, *(place for block in blocks for place in (block.b, block.b + block.size))]
    return [places[round(place)] for place in np.interp(ends, there, here).tolist()]


def phoneme_ends(phonemes: Phonemes, ids: Mapping[str, Sequence[int]], durations: NDArray[np.int64]) -> list[int]:
    """Return where a sentence's phonemes end in samples, before the first of them included.

    `ids` are the ids of each phoneme and of the marks "^", "_" and "$", and `durations` the samples of each id of a
    sentence that was built in Piper's way: "^", then every phoneme, each followed by "_", then "$". Empty when it was
    built in another way, as it is for Chinese.
    """
    pad = len(ids["_"])
    counts = [len(ids["^"]) + pad, *(len(ids[phoneme]) + pad if phoneme in ids else 0 for phoneme in phonemes)]
    if sum(counts) + len(ids["$"]) != len(durations):
        return []
    passed = np.concatenate([[0], np.cumsum(durations)])
    return [int(passed[count]) for count in accumulate(counts)]


def _unstressed(phonemes: Phonemes) -> list[str]:
    return [phoneme for phoneme in phonemes if phoneme not in _STRESS]
