"""Processor time that the stages spent, and how much of it was for nothing.

Speculation begins work that may be thrown away. Whoever asks a stage says for what by `charged_to`, in the context of
the task that asks; the worker says what it cost when the request has ended, which may be after the work was dropped.
"""

from __future__ import annotations

from contextvars import ContextVar


class WorkLedger:
    """All that was spent in one session."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.wasted_cpu_s = 0.0

    @property
    def wasted_share(self) -> float:
        """What was thrown away over all that was spent; 0 before anything was."""
        return self.wasted_cpu_s / self.cpu_s if self.cpu_s else 0.0


class Work:
    """What was spent for one purpose, such as a revision."""

    def __init__(self, ledger: WorkLedger) -> None:
        self._ledger = ledger
        self._used_s = 0.0
        self._dropped = False

    def charge(self, cpu_s: float, *, cancelled: bool) -> None:
        """Note that a request cost as much; all of it for nothing if it was cancelled or the work is dropped."""
        self._ledger.cpu_s += cpu_s
        if cancelled or self._dropped:
            self._ledger.wasted_cpu_s += cpu_s
        else:
            self._used_s += cpu_s

    def drop(self) -> None:
        """Say that nothing of it is of use."""
        self._dropped = True
        self._ledger.wasted_cpu_s += self._used_s
        self._used_s = 0.0


charged_to: ContextVar[Work | None] = ContextVar("charged_to", default=None)
