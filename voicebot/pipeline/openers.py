"""Short phrases that cover a wait, rendered ahead of time: "Let me see." They are never part of the reply."""

from __future__ import annotations

from collections.abc import Sequence

from voicebot.audio import Pcm, samples_from_ms
from voicebot.config.pipeline import OpenerSettings


class Openers:
    """One session's. None is played in two turns on end, so that it never becomes a habit."""

    def __init__(self, phrases: Sequence[Pcm], settings: OpenerSettings) -> None:
        self._phrases = phrases if settings.enabled else ()
        self._after_samples = samples_from_ms(settings.after_ms)
        self._used = 0
        self._last_turn = -1

    def due(self, turn: int, waited_samples: int) -> Pcm | None:
        """Return what to play in that turn, after the user has waited so long; None if nothing."""
        if not self._phrases or waited_samples < self._after_samples or turn <= self._last_turn + 1:
            return None
        self._last_turn = turn
        self._used += 1
        return self._phrases[(self._used - 1) % len(self._phrases)]
