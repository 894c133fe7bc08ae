"""Tells every event to all who watch: the interfaces come and go while the conversation runs."""

from __future__ import annotations

import logging
from collections.abc import Callable

from voicebot.events import Event, Observer, WorkerChanged

_log = logging.getLogger(__name__)


class Watchers:
    """Itself an observer. A watcher that fails is logged, and harms neither the conversation nor the others."""

    def __init__(self) -> None:
        self._observers: list[Observer] = []
        self._workers: dict[str, WorkerChanged] = {}

    def __call__(self, event: Event) -> None:
        """Tell an event to everyone."""
        if isinstance(event, WorkerChanged):
            self._workers[event.stage] = event
        for observer in tuple(self._observers):
            _tell(observer, event)

    def watch(self, observer: Observer) -> Callable[[], None]:
        """Let somebody watch from here on; returns how to end that. An observer must not block.

        It is told first how each worker is, which began before anybody could watch.
        """
        self._observers.append(observer)
        for event in tuple(self._workers.values()):
            _tell(observer, event)

        def unwatch() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return unwatch


def _tell(observer: Observer, event: Event) -> None:
    try:
        observer(event)
    except Exception:  # noqa: BLE001 - whatever it is, the conversation goes on
        _log.exception("an observer failed at %s", type(event).__name__)
