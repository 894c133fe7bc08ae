"""Makes what a model writes fit to be spoken."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_BULLET: Final = re.compile(r"^\s*[-*•#>]+\s+")
_MARKUP: Final = re.compile(r"[*_`#~|<>]+")
_UNSPEAKABLE_KINDS: Final = frozenset({"So", "Cs", "Co", "Cc", "Cn"})
_SPOKEN_SYMBOLS: Final = frozenset("°℃℉№")
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufe0e\ufe0f\ufeff\u20e3\U0001f3fb-\U0001f3ff]")
"""Joiners and marks that go with a picture or inside a word, such as a soft hyphen or a skin tone."""


def speakable(clause: str) -> str:
    """Return the clause without markup, links, bullets and pictures; empty if no word is left."""
    text = _LINK.sub(r"\1", clause)
    text = _BULLET.sub("", text)
    text = _MARKUP.sub("", text)
    text = _INVISIBLE.sub("", text)
    text = "".join(sign if _is_speakable(sign) else " " for sign in text)
    text = " ".join(text.split())
    return text if any(map(str.isalnum, text)) else ""


def _is_speakable(sign: str) -> bool:
    return sign in _SPOKEN_SYMBOLS or unicodedata.category(sign) not in _UNSPEAKABLE_KINDS
