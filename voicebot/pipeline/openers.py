"""Short phrases that cover a wait, rendered ahead of time: "Let me see." They are never part of the reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from voicebot.audio import Pcm, samples_from_ms
from voicebot.config.pipeline import OpenerSettings
from voicebot.config.wake import EarconSettings
from voicebot.pipeline.earcons import thinking

_NO_TONES: Final = EarconSettings(enabled=False)


class Openers:
    """One session's. None is played in two turns on end, so that it never becomes a habit; a tone may be."""

    def __init__(self, phrases: Sequence[Pcm], settings: OpenerSettings, earcons: EarconSettings = _NO_TONES) -> None:
        self._phrases = phrases if settings.enabled else ()
        self._after_samples = samples_from_ms(settings.after_ms)
        self._tone = thinking(earcons) if earcons.enabled else None
        self._tone_after_samples = samples_from_ms(earcons.after_ms)
        self._used = 0
        self._last_turn = -1

    def due(self, turn: int, waited_samples: int) -> Pcm | None:
        """Return what to play in that turn, after the user has waited so long; None if nothing."""
        if not self._phrases or waited_samples < self._after_samples or turn <= self._last_turn + 1:
            return self._tone if waited_samples >= self._tone_after_samples else None
        self._last_turn = turn
        self._used += 1
        return self._phrases[(self._used - 1) % len(self._phrases)]
