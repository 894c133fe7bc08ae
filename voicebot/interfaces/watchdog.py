"""Lets systemd end a daemon that only seems to live: it is fed while frames and workers really move."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Final

from voicebot.clock import Clock
from voicebot.events import Event, WorkerChanged
from voicebot.interfaces.notify import Notifier

_log = logging.getLogger(__name__)
_LOOKS: Final = 4
"""How often it looks in the time within which systemd wants to be fed: one late look does no harm."""
_US_PER_S: Final = 1_000_000


def watchdog_s(environ: Mapping[str, str] = os.environ, pid: int | None = None) -> float | None:
    """Return within how many seconds systemd wants to be fed by this process; None where it does not."""
    for_whom, within_us = environ.get("WATCHDOG_PID", ""), environ.get("WATCHDOG_USEC", "")
    if for_whom and for_whom != str(os.getpid() if pid is None else pid):
        return None
    return int(within_us) / _US_PER_S if within_us.isdecimal() and int(within_us) else None


class Watchdog:
    """Feeds systemd as long as all of this is so, and else says in the log what is not.

    - The event loop turns, or nothing of this would run.
    - Between two looks each microphone in `frames` has given another frame, and the conversation has taken it.
    - No worker has been missing for longer than it may take to load. One that hangs while it should answer is found
      by its supervisor, which replaces it.

    `frames`: how many were taken of each conversation, by its name, of those alone whose microphone is there; a
    satellite that is silent by itself is not among them.
    """

    def __init__(
        self,
        notifier: Notifier,
        clock: Clock,
        frames: Callable[[], Mapping[str, int]],
        *,
        start_timeout_s: float,
        within_s: float | None,
    ) -> None:
        """`within_s`: what `watchdog_s` returned; with None, nothing is ever done."""
        self._notifier = notifier
        self._clock = clock
        self._frames = frames
        self._start_timeout_s = start_timeout_s
        self._within_s = within_s
        self._seen: dict[str, int] = {}
        self._missing_since_s: dict[str, float] = {}
        self._stuck = ""

    def observe(self, event: Event) -> None:
        """Follow the workers; an observer."""
        if not isinstance(event, WorkerChanged):
            return
        if event.state in {"ready", "stopped"}:
            self._missing_since_s.pop(event.stage, None)
        else:
            self._missing_since_s.setdefault(event.stage, self._clock.now_s())

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        if self._within_s is None:
            return
        while True:
            self._look()
            await self._clock.sleep_s(self._within_s / _LOOKS)

    def _look(self) -> None:
        stuck = "; ".join((*self._silent(), *self._missing()))
        if not stuck:
            self._notifier.alive()
        elif stuck != self._stuck:
            _log.error("the service hangs, and systemd is not told that it lives: %s", stuck)
        self._stuck = stuck

    def _silent(self) -> list[str]:
        before, self._seen = self._seen, dict(self._frames())
        return [f"no frame of {name}" for name, frames in self._seen.items() if before.get(name) == frames]

    def _missing(self) -> list[str]:
        latest_s = self._clock.now_s() - self._start_timeout_s
        return [f"no {stage} worker" for stage, since_s in self._missing_since_s.items() if since_s < latest_s]
