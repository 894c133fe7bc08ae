"""Makes what a model writes fit to be spoken."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_LINK: Final = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_BULLET: Final = re.compile(r"^\s*(?:[-*•#>]+|\d+[.)])\s+")
_MARKUP: Final = re.compile(r"[*_`#~|<>]+")
_UNSPEAKABLE_KINDS: Final = frozenset({"So", "Cs", "Co", "Cc", "Cf", "Cn"})


def speakable(clause: str) -> str:
    """Return the clause without markup, links, bullets and pictures; empty if no word is left."""
    text = _LINK.sub(r"\1", clause)
    text = _BULLET.sub("", text)
    text = _MARKUP.sub("", text)
    text = "".join(" " if unicodedata.category(sign) in _UNSPEAKABLE_KINDS else sign for sign in text)
    text = " ".join(text.split())
    return text if any(map(str.isalnum, text)) else ""
