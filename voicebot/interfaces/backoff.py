"""How long to wait before the next attempt."""

from __future__ import annotations

import random


class Backoff:
    """Doubles from the first wait to the longest, each shortened by up to a half by chance.

    By chance, so that the boxes of a house do not all come back to a restarted server at once.
    """

    def __init__(self, first_s: float, longest_s: float, chance: random.Random | None = None) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._chance = chance or random.Random()  # noqa: S311 - it guards nothing
        self._next_s = first_s

    def next_s(self) -> float:
        """Return how many seconds to wait after a failure."""
        wait_s = self._next_s * self._chance.uniform(0.5, 1)
        self._next_s = min(self._next_s * 2, self._longest_s)
        return wait_s

    def reset(self) -> None:
        """Begin again with the first wait: it has worked."""
        self._next_s = self._first_s
