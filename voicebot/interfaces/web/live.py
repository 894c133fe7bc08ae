"""Tells every event to the pages that are open, by WebSocket.

A page only listens here; what it wants done it asks by POST. A page that does not take its messages in time is cut
off, and connects again when it can: nobody waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any, Final

from aiohttp import WSMsgType, web

from voicebot.audio import ms_from_samples
from voicebot.clock import Clock
from voicebot.config.pipeline import BudgetSettings
from voicebot.events import Event, TurnEnded, TurnEnergy
from voicebot.interfaces.event_json import event_json, json_line
from voicebot.interfaces.service import Service
from voicebot.interfaces.web.guard import refused
from voicebot.interfaces.web.sockets import Close, close, close_all
from voicebot.latency.marks import OPENER_MARK

_log = logging.getLogger(__name__)
SCHEMA: Final = 1
MOST_PAGES: Final = 16
MOST_WAITING: Final = 256
"""Messages to one page: half a minute of a lively conversation."""
_TURNS: Final = 20
_STATUS_EVERY_S: Final = 1.0
_HEARTBEAT_S: Final = 20.0
_MOST_BYTES: Final = 1024
"""Of what a page sends: it has nothing to say here."""

Message = dict[str, Any]


class Live:
    """Remembers the latest turns, in memory alone, for pages that are opened later."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._pages: set[_Page] = set()
        self._turns: deque[Message] = deque(maxlen=_TURNS)

    @property
    def pages(self) -> int:
        """How many are open."""
        return len(self._pages)

    @property
    def queued(self) -> int:
        """How many messages wait for the page that has most of them."""
        return max((page.queued for page in self._pages), default=0)

    def observe(self, event: Event) -> None:
        """Tell an event to all pages."""
        message = told(event, self._service.pipeline.budget)
        if isinstance(event, TurnEnded):
            self._turns.append(message)
        elif isinstance(event, TurnEnergy):
            for turn in self._turns:
                if (turn["session"], turn["turn"]) == (event.session, event.turn):
                    turn["energy_j"] = round(event.joules, 2)
        self._tell(message)

    async def run(self) -> None:
        """Tell the status whenever it is another one, as long as anybody looks."""
        before = ""
        while True:
            await self._clock.sleep_s(_STATUS_EVERY_S)
            if not self._pages:
                continue
            status = _json(self._status())
            if status != before:
                self._tell_text(status)
            before = status

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Be the WebSocket of one page, until it leaves or is too slow."""
        if len(self._pages) >= MOST_PAGES:
            return refused(503, f"{MOST_PAGES} pages are open already; close one of them")
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=_MOST_BYTES, timeout=1.0)
        await socket.prepare(request)
        page = _Page(socket, request.transport)
        page.put(_json(self._hello()))
        page.put(_json(self._status()))
        self._pages.add(page)
        try:
            await page.run()
        finally:
            self._pages.discard(page)
        return socket

    async def close(self) -> None:
        """Let all pages go."""
        await close_all((page.socket, page.transport) for page in tuple(self._pages))

    def _hello(self) -> Message:
        budget = self._service.pipeline.budget.model_dump()
        return {"event": "hello", "schema": SCHEMA, "budget": budget, "turns": list(self._turns)}

    def _status(self) -> Message:
        return {"event": "status", "status": self._service.status()}

    def _tell(self, message: Message) -> None:
        if self._pages:
            self._tell_text(_json(message))

    def _tell_text(self, text: str) -> None:
        for page in tuple(self._pages):
            if not page.put(text):
                _log.info("a page is cut off: it has not taken %d messages", MOST_WAITING)
                self._pages.discard(page)
                page.abort()


class _Page:
    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self.transport = transport
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)

    @property
    def queued(self) -> int:
        return self._waiting.qsize()

    def put(self, text: str) -> bool:
        """Return whether there was room."""
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait(text)
            return True
        return False

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    async def run(self) -> None:
        sending = asyncio.create_task(self._send(), name="page")
        try:
            message = await self.socket.receive()
            if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                await close(self.socket, self.transport, Close.POLICY, "nothing is to be said here")
        finally:
            sending.cancel()
            await asyncio.wait([sending])

    async def _send(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await self.socket.send_str(await self._waiting.get())


def told(event: Event, budget: BudgetSettings) -> Message:
    """Return an event as a page is told of it; a turn with its moments counted from the user's last sound."""
    message = event_json(event)
    if isinstance(event, TurnEnded):
        marks_ms = {name: _ms(sample - event.speech_end_sample) for name, sample in event.marks.items()}
        message |= {
            "opener_ms": marks_ms.pop(OPENER_MARK, None),
            "marks_ms": marks_ms,
            "budget_ms": budget.total_ms,
            "energy_j": None,
        }
    return message


def _ms(samples: int) -> float:
    return round(ms_from_samples(samples), 1)


def _json(message: Message) -> str:
    return json_line(message).decode("ascii")
