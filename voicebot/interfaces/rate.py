"""How much one client may ask for: a token bucket."""

from __future__ import annotations

from voicebot.clock import Watch


class Rate:
    """So many requests a second, and after a pause as many at once, or `at_once` where that is something else."""

    def __init__(self, per_s: float, clock: Watch, at_once: float | None = None) -> None:
        self._per_s = per_s
        self._clock = clock
        self._left = self._most = max(1.0, per_s if at_once is None else at_once)
        self._seen_s = clock.now_s()

    def allows(self, many: int = 1) -> bool:
        """Return whether so many requests would be allowed."""
        now_s = self._clock.now_s()
        self._left = min(self._most, self._left + (now_s - self._seen_s) * self._per_s)
        self._seen_s = now_s
        return self._left >= many

    def take(self, many: int = 1) -> bool:
        """Count so many requests, if they are allowed; return whether they are."""
        if not self.allows(many):
            return False
        self._left -= many
        return True
