"""Whether there is time for a larger model to look at doubtful words again. Pure."""

from __future__ import annotations

from typing import Final

_RISE: Final = 0.5
_FALL: Final = 0.1
"""Up faster than down, so that three of four looks take no longer than predicted (of 73)."""
_FORGET: Final = 0.98
"""With every refusal: a slow moment is not believed for ever, and a box that is too slow is asked rarely."""


class SecondModelPace:
    """How long the larger model takes beside the first look at the same words, by its own runs.

    The first look knows how busy the box is and how much was said. On 45 doubtful recordings whisper-base took 3 times
    as long as whisper-tiny.en, and nine of ten less than 1.25 times its own median of that.
    """

    def __init__(self) -> None:
        self._ratio: float | None = None

    def fits(self, first_s: float, left_s: float | None) -> bool:
        """Return whether it would be done in the time left; None is any time. Before its first run it is tried."""
        if left_s is None or self._ratio is None:
            return left_s is None or left_s > 0
        fits = self._ratio * first_s <= left_s
        if not fits:
            self._ratio *= _FORGET
        return fits

    def took(self, first_s: float, second_s: float) -> None:
        """Learn from a run after a first look of that length."""
        ratio = second_s / max(first_s, 1e-3)
        known = ratio if self._ratio is None else self._ratio
        self._ratio = known + (_RISE if ratio > known else _FALL) * (ratio - known)
