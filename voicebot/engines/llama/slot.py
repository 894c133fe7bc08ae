"""One session's place in the model's memory: the tokens whose keys and values it has, and how it gets to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from voicebot.engines.llama.context import Context, Span
from voicebot.engines.llama.tokens import common_prefix

_LEAST_REUSED_TOKENS: Final = 48
"""Fewer are computed again: that is quick, and so short a stretch could be the same by chance."""
_LONGEST_MARK_TOKENS: Final = 64
"""How much may have been put in the place of what was taken out."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning of every conversation, the system prompt: a sequence of its own that slots take cells from."""

    sequence: int
    tokens: tuple[int, ...]


class Slot:
    """A sequence of tokens that are computed. What it says it holds, it holds."""

    def __init__(self, context: Context, sequence: int, scratch: int) -> None:
        """`scratch`: a sequence that is empty, for moving cells."""
        self.sequence = sequence
        self._context = context
        self._scratch = scratch
        self._tokens: list[int] = []
        self._shared = 0

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def tokens(self) -> tuple[int, ...]:
        """What the slot holds."""
        return tuple(self._tokens)

    def align(self, wanted: Sequence[int], prefix: Prefix | None, abort: int, *, leave: int) -> int:
        """Make what the slot holds a beginning of the wanted tokens, as long as can be had without computing them.

        At least `leave` of the wanted ones are left to compute. Where tokens were taken out of the middle, perhaps
        with a few put in their place, all that follows them is kept: only what was put in is computed here, for which
        `abort` is as in `Context.decode`. Returns how many tokens are left.
        """
        kept = common_prefix(self._tokens, wanted)
        if kept < len(self._tokens):
            kept = self._close_gap(wanted, kept, abort)
        common = 0 if prefix is None else common_prefix(prefix.tokens, wanted)
        if prefix is not None and common > kept:
            self.clear()
            self._context.share(prefix.sequence, self.sequence, 0, common)
            self._tokens = list(wanted[:common])
            kept = self._shared = common
        self.roll_back(min(kept, len(wanted) - leave))
        return len(wanted) - len(self._tokens)

    def append(self, tokens: Sequence[int]) -> None:
        """Hold these tokens too. They have been computed, and whatever was computed after them is forgotten."""
        self._tokens += tokens
        self._context.forget(self.sequence, len(self._tokens))

    def roll_back(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if length < len(self._tokens):
            self._context.forget(self.sequence, length)
            del self._tokens[length:]
            self._shared = min(self._shared, length)

    def clear(self) -> None:
        """Forget everything."""
        self.roll_back(0)

    def _close_gap(self, wanted: Sequence[int], kept: int, abort: int) -> int:
        """Take out what the wanted tokens lack after the first `kept`, put in what they have there, keep the rest.

        This is how the oldest exchanges leave a full context: computing all that comes after them again would take
        seconds. What follows was computed with them in sight, as in llama.cpp's own context shift. Returns how many
        tokens are the wanted ones.
        """
        gap = _gap(self._tokens, wanted, kept)
        if gap is None or kept < self._shared or not self._context.movable:
            return kept
        put_in, rest = gap
        # llama.cpp only appends to a sequence, so the rest waits in another one meanwhile.
        self._context.share(self.sequence, self._scratch, rest)
        self._context.forget(self.sequence, kept)
        self._context.move(self._scratch, rest, put_in - rest)
        following = self._tokens[rest:]
        del self._tokens[kept:]
        try:
            if put_in > kept:
                self._context.decode([Span(self.sequence, kept, wanted[kept:put_in])], abort)
                self._tokens += wanted[kept:put_in]
            self._context.share(self._scratch, self.sequence, put_in)
            self._tokens += following
        finally:
            self._context.forget(self._scratch, 0)
        return common_prefix(self._tokens, wanted)


def _gap(held: Sequence[int], wanted: Sequence[int], kept: int) -> tuple[int, int] | None:
    """Return where the two go on alike after their first `kept` tokens: an index of `wanted`, and one of `held`."""
    for put_in in range(kept, min(kept + _LONGEST_MARK_TOKENS, len(wanted) - _LEAST_REUSED_TOKENS) + 1):
        probe = list(wanted[put_in : put_in + _LEAST_REUSED_TOKENS])
        for rest in range(max(kept, put_in) + 1, len(held) - len(probe) + 1):
            if held[rest] == probe[0] and list(held[rest : rest + len(probe)]) == probe:
                return put_in, rest
    return None
