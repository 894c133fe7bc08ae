"""Tells every event to all who watch: the interfaces come and go while the conversation runs."""

from __future__ import annotations

import logging
from collections.abc import Callable

from voicebot.events import Event, Observer

_log = logging.getLogger(__name__)


class Watchers:
    """Itself an observer. A watcher that fails is logged, and harms neither the conversation nor the others."""

    def __init__(self) -> None:
        self._observers: list[Observer] = []

    def __call__(self, event: Event) -> None:
        """Tell an event to everyone."""
        for observer in tuple(self._observers):
            try:
                observer(event)
            except Exception:  # noqa: BLE001 - whatever it is, the conversation goes on
                _log.exception("an observer failed at %s", type(event).__name__)

    def watch(self, observer: Observer) -> Callable[[], None]:
        """Let somebody watch from here on; returns how to end that. An observer must not block."""
        self._observers.append(observer)

        def unwatch() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return unwatch
