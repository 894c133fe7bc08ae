"""Tells a collector each turn. Whatever the collector does, no conversation waits for it."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from voicebot.audio_io.device_thread import in_thread
from voicebot.config.traces import TracesSettings
from voicebot.events import Event, StateChanged, TurnEnded, TurnEnergy
from voicebot.interfaces.service import Service
from voicebot.interfaces.traces.spans import Moment, TurnTrace, trace

_log = logging.getLogger(__name__)
_ENERGY_S: Final = 2.0
"""What a turn took is told shortly after its end; where nothing tells it, the trace goes without."""
_FAREWELL_S: Final = 0.5


class Export(Protocol):
    """Takes traces to where they go, in a thread of its own."""

    def send(self, trace: TurnTrace) -> None:
        """Take one to be sent. Does not block; when too many wait, the oldest are lost."""

    def status(self) -> Mapping[str, Any]:
        """Return what there is to tell, as JSON values."""

    def close(self) -> None:
        """Send what waits, and end. Blocks for as long as the collector lets it."""


@dataclass(frozen=True, slots=True)
class _Ended:
    turn: TurnEnded
    at: Moment
    patience: asyncio.TimerHandle


class Traces:
    """Watches for turns that end."""

    def __init__(
        self,
        settings: TracesSettings,
        service: Service,
        now_ns: Callable[[], int] = time.time_ns,
        open_export: Callable[[TracesSettings], Export] | None = None,
    ) -> None:
        self._settings = settings
        self._service = service
        self._now_ns = now_ns
        self._open_export = open_export or _open_export
        self._export: Export | None = None
        self._ended: dict[str, _Ended] = {}
        """Of each session the turn that waits for what it took."""

    def status(self) -> Mapping[str, Any]:
        """Return what there is to tell of it, as JSON values."""
        return {"works": False} if self._export is None else {"works": True, **self._export.status()}

    async def run(self) -> None:
        """Tell each turn until cancelled. What stands in the way is logged, and ends nothing."""
        undescribe = self._service.describe("traces", self.status)
        try:
            if await self._open():
                await self._watch()
            await asyncio.Event().wait()
        finally:
            undescribe()

    async def _open(self) -> bool:
        try:
            self._export = await in_thread(lambda: self._open_export(self._settings), "traces begin")
        except ImportError as error:
            _log.error("no traces: install voicebot[traces], or set traces.enabled = false (%s)", error)
        except (OSError, ValueError) as error:
            _log.error("no traces: traces.headers_file or traces.ca can't be used (%s)", error)
        if self._settings.texts and self._settings.is_readable:
            _log.warning("traces are sent without encryption: all words can be read on the network")
        return self._export is not None

    async def _watch(self) -> None:
        unwatch = self._service.watch(self._observe)
        try:
            await asyncio.Event().wait()
        finally:
            unwatch()
            for session in tuple(self._ended):
                self._send(session)
            await self._close()

    def _observe(self, event: Event) -> None:
        match event:
            case TurnEnded():
                self._send(event.session)
                now = self._service.now_sample(event.session)
                sample = max(event.marks.values(), default=event.speech_end_sample) if now is None else now
                patience = asyncio.get_running_loop().call_later(_ENERGY_S, self._send, event.session)
                self._ended[event.session] = _Ended(event, Moment(sample, self._now_ns()), patience)
            case TurnEnergy():
                waiting = self._ended.get(event.session)
                if waiting is not None and waiting.turn.turn == event.turn:
                    self._send(event.session, event)
            case StateChanged(state="closed"):
                self._send(event.session)
            case _:
                pass

    def _send(self, session: str, energy: TurnEnergy | None = None) -> None:
        ended = self._ended.pop(session, None)
        if ended is not None and self._export is not None:
            ended.patience.cancel()
            self._export.send(trace(ended.turn, ended.at, energy, texts=self._settings.texts))

    async def _close(self) -> None:
        """Let the last ones be sent, if that is soon done."""
        if self._export is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_S):
                    await in_thread(self._export.close, "traces end")


def _open_export(settings: TracesSettings) -> Export:
    """Open it in the thread that calls. Blocks: it reads files, and the libraries take a while to load."""
    with suppress(OSError):  # the threads that it begins are not to have the precedence of the event loop's
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, max(0, os.getpriority(os.PRIO_PROCESS, 0)))
    from voicebot.interfaces.traces.otlp import OtlpExport  # noqa: PLC0415 - an extra, loaded only by who wants it

    return OtlpExport(settings)
