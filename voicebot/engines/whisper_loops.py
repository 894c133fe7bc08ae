"""Whisper on a window shorter than its training's says the phrase again: how to see that, and how to mend it.

Measured on short commands and read speech, what goes wrong with the short window is one phrase of two or more
words said again to the end of the transcript, the last copy often cut short, or one syllable without end.
"""

from __future__ import annotations

import re
from typing import Final

_FEWEST_WORDS: Final = 2
_FASTEST_WORDS_PER_S: Final = 4.5
"""People rarely speak faster over a whole utterance; a loop says in 2 s what would take them 6."""
_STUTTER: Final = re.compile(r"(\w{1,3}?)\1{5,}$")


def without_loop(text: str) -> str | None:
    """Return the text with the phrase that is said again to its end said once; None when there is no such phrase.

    What comes before the phrase is kept. Letters are compared, not words, since the last copy may be cut anywhere and
    is not always spelled like the first.
    """
    words = text.split()
    bare = [_letters(word) for word in words]
    for start in range(len(words)):
        for end in range(start + _FEWEST_WORDS, len(words)):
            phrase, rest = "".join(bare[start:end]), "".join(bare[end:])
            if len(rest) >= len(phrase) > 0 and (phrase * (len(rest) // len(phrase) + 1)).startswith(rest):
                return " ".join(words[:end])
    return None


def stutters(text: str) -> bool:
    """Return whether the text ends in one syllable said more than five times."""
    return _STUTTER.search(_letters(text)) is not None


def too_many_words(text: str, audio_s: float) -> bool:
    """Return whether nobody could have said the text in that time."""
    return len(text.split()) > audio_s * _FASTEST_WORDS_PER_S


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
