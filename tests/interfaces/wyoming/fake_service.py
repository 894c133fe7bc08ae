"""A Wyoming service on the loopback that answers as a test scripts it: with events, with bytes, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from wyoming.event import Event, Eventable, async_read_event

from voicebot.interfaces.wyoming.wire import encoded

Writer = asyncio.StreamWriter
Script = Callable[[Writer], Awaitable[None]]
_REQUESTS = {"audio-stop", "synthesize", "describe"}
"""The last event of each."""


def sends(*parts: Eventable | bytes) -> Script:
    """Send that, and wait for the client to leave."""

    async def script(writer: Writer) -> None:
        writer.write(b"".join(part if isinstance(part, bytes) else encoded(part) for part in parts))
        await writer.drain()

    return script


def then_closes(*parts: Eventable | bytes) -> Script:
    """Send that, and hang up."""

    async def script(writer: Writer) -> None:
        await sends(*parts)(writer)
        writer.close()

    return script


@dataclass
class FakeService:
    """What it is to do, and what it was asked."""

    script: Script
    port: int = 0
    received: list[Event] = field(default_factory=list)
    connections: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a request is complete."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has hung up."""

    @property
    def uri(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def kinds(self) -> list[str]:
        """Return what it was sent, without repetitions."""
        return list(dict.fromkeys(event.type for event in self.received))

    async def attend(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self.connections += 1
        try:
            with suppress(ConnectionError):
                while (event := await async_read_event(reader)) is not None:
                    self.received.append(event)
                    if event.type in _REQUESTS:
                        self.asked.set()
                        await self.script(writer)
            self.gone.set()
        finally:
            writer.transport.abort()


@asynccontextmanager
async def fake_service(*parts: Eventable | bytes, script: Script | None = None) -> AsyncIterator[FakeService]:
    service = FakeService(script or sends(*parts))
    async with asyncio.TaskGroup() as group:
        talks: list[asyncio.Task[None]] = []

        def accept(reader: asyncio.StreamReader, writer: Writer) -> None:
            talks.append(group.create_task(service.attend(reader, writer), name="fake service"))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        service.port = server.sockets[0].getsockname()[1]
        try:
            yield service
        finally:
            server.close()
            for talk in talks:
                talk.cancel()
