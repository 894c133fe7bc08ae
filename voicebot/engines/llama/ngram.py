"""Where a sequence of tokens has been seen before, and how it went on (prompt lookup decoding)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, NamedTuple

from voicebot.engines.llama.tokens import common_prefix

_NOWHERE: Final = -1
_TELLING: Final = 6
"""Places that have so many tokens in common are compared even where another one has more in common."""
_PLACES: Final = 12
"""So many places of the last two tokens are looked at, the latest first: a bound on the time of a query."""


class Match(NamedTuple):
    """How a sequence went on before, and how many of the last tokens were the same there."""

    tokens: tuple[int, ...]
    length: int


class NgramIndex:
    """Tokens in their order, and for each pair of neighbours where it was last.

    Longer matches are found by walking from pair to pair, so that memory is a few words per token whatever the
    length. Holds at most `most_tokens`, and forgets the older half when there are more.
    """

    SHORTEST: ClassVar = 2
    """Fewer tokens in common are no match."""
    LONGEST: ClassVar = 16
    """A match of so many tokens is not looked at further: it is as good as certain."""
    SEPARATOR: ClassVar = -1
    """Stands between sequences that don't follow each other: no match crosses it, and no proposal."""

    def __init__(self, most_tokens: int = 65_536) -> None:
        self._most = most_tokens
        self._forgotten = 0
        self._tokens: list[int] = []
        self._last: dict[tuple[int, int], int] = {}  # of a pair, the position of its second token
        self._before: list[int] = []  # of each position, where its pair was before that

    @property
    def length(self) -> int:
        """How many tokens it was given, the forgotten ones included."""
        return self._forgotten + len(self._tokens)

    def extend(self, tokens: Sequence[int]) -> None:
        """Add tokens that follow the others."""
        previous = self._tokens[-1] if self._tokens else self.SEPARATOR
        for position, token in enumerate(tokens, len(self._tokens)):
            pair = (previous, token)
            self._before.append(self._last.get(pair, _NOWHERE))
            self._last[pair] = position
            previous = token
        self._tokens.extend(tokens)
        if len(self._tokens) > self._most:
            self._forget(len(self._tokens) - self._most // 2)

    def add_sequence(self, tokens: Sequence[int]) -> None:
        """Add tokens that follow nothing."""
        self.extend((*tokens, self.SEPARATOR))

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        kept = max(0, length - self._forgotten)
        self._forgotten = min(self._forgotten, length)
        while len(self._tokens) > kept:
            previous = self._tokens[-2] if len(self._tokens) > 1 else self.SEPARATOR
            pair = (previous, self._tokens.pop())
            before = self._before.pop()
            if before == _NOWHERE:
                del self._last[pair]
            else:
                self._last[pair] = before

    def tail(self, count: int) -> list[int]:
        """Return the last `count` tokens held, or all."""
        return self._tokens[max(0, len(self._tokens) - count) :]

    def common_prefix(self, tokens: Sequence[int]) -> int:
        """Return how many tokens at the beginning are the same as those held; 0 where the beginning is forgotten."""
        if self._forgotten:
            return 0
        return common_prefix(self._tokens, tokens)

    def propose(self, last: Sequence[int], most: int) -> tuple[int, ...]:
        """Return up to `most` tokens that may follow those of `last`; none where nothing is known."""
        match = self.find(last, most)
        return match.tokens if match else ()

    def find(self, last: Sequence[int], most: int) -> Match | None:
        """Return how the place goes on that has most of the last tokens in common, at least two.

        Where several places have as many, or six and more, what they all go on with is returned: what went on in
        several ways tells nothing. `last` may be the end of what is held, or of another sequence.
        """
        if len(last) < self.SHORTEST or most < 1:
            return None
        places = self._places(last)
        if not places:
            return None
        longest = max(places.values())
        like = [place for place, length in places.items() if length >= min(longest, _TELLING)]
        following = self._following(max(like, key=lambda place: (places[place], place)), most)
        for place in like:
            following = following[: common_prefix(following, self._following(place, most))]
        return Match(tuple(following), longest) if following else None

    def _places(self, last: Sequence[int]) -> dict[int, int]:
        """Return where the last two tokens stood before, with how many of the last were the same there."""
        tokens, longest = self._tokens, min(len(last), self.LONGEST)
        places: dict[int, int] = {}
        place = self._last.get((last[-2], last[-1]), _NOWHERE)
        for _ in range(_PLACES):
            if place == _NOWHERE:
                break
            if place + 1 < len(tokens) and tokens[place + 1] != self.SEPARATOR:
                length = self.SHORTEST
                while length < longest and length <= place and tokens[place - length] == last[-1 - length]:
                    length += 1
                places[place] = length
            place = self._before[place]
        return places

    def _following(self, place: int, most: int) -> list[int]:
        following = self._tokens[place + 1 : place + 1 + most]
        if self.SEPARATOR in following:
            del following[following.index(self.SEPARATOR) :]
        return following

    def _forget(self, count: int) -> None:
        """Forget the first `count` tokens held."""
        kept = self._tokens[count:]
        self._forgotten += count
        self._tokens, self._before, self._last = [], [], {}
        self.extend(kept)
