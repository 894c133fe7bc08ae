"""A server of OpenAI's protocol on the loopback that does what each test scripts: byte by byte, or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Writer = asyncio.StreamWriter
Script = Callable[[Writer], Awaitable[None]]

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: keep-alive\r\n"


def event(content: str | None = None, finish: str | None = None) -> bytes:
    """Return an event as servers send it."""
    chunk = {"object": "chat.completion.chunk", "choices": [{"delta": {"content": content}, "finish_reason": finish}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """Return a whole response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def says(*parts: bytes) -> Script:
    """Send a stream, one part of it at a time."""

    async def script(writer: Writer) -> None:
        writer.write(STREAM + b"Transfer-Encoding: chunked\r\n\r\n")
        for part in parts:
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0.001)
        writer.write(b"0\r\n\r\n")

    return script


def sends(raw: bytes) -> Script:
    """Send those bytes and nothing else."""

    async def script(writer: Writer) -> None:
        writer.write(raw)

    return script


def then_waits(*parts: bytes) -> Script:
    """Begin a stream, and never end it."""

    async def script(writer: Writer) -> None:
        writer.write(STREAM + b"\r\n" + b"".join(parts))
        await asyncio.Event().wait()

    return script


def then_closes(*parts: bytes) -> Script:
    """Begin a stream, and hang up."""

    async def script(writer: Writer) -> None:
        writer.write(STREAM + b"\r\n" + b"".join(parts))
        await writer.drain()
        writer.close()

    return script


PARIS = says(event("Paris"), event("."), event(None, "stop"), b"data: [DONE]\n\n")


@dataclass
class ChatServer:
    """What it is to do, and what it was asked."""

    port: int = 0
    script: Script = PARIS
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    """First lines, headers in small letters, and bodies."""
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has hung up."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self.connections += 1
        try:
            while line := (await reader.readline()).decode().strip():
                headers = {}
                while header := (await reader.readline()).decode().strip():
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((line, headers, json.loads(body) if body else None))
                await self._perform(reader, writer)
        except ConnectionError:
            pass
        finally:
            self.gone.set()
            writer.transport.abort()

    async def _perform(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        """Follow the script until it ends or the client hangs up."""
        script = asyncio.ensure_future(self.script(writer))
        hung_up = asyncio.ensure_future(self._end_of(reader))
        try:
            await asyncio.wait({script, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (script, hung_up):
                task.cancel()
                with suppress(asyncio.CancelledError, ConnectionError):
                    await task

    async def _end_of(self, reader: asyncio.StreamReader) -> None:
        while not reader.at_eof():  # noqa: ASYNC110 - nothing may be read, it could be the next request
            await asyncio.sleep(0.001)


@asynccontextmanager
async def chat_server(script: Script | None = None) -> AsyncIterator[ChatServer]:
    chat = ChatServer()
    if script is not None:
        chat.script = script
    async with asyncio.TaskGroup() as group:
        talks: list[asyncio.Task[None]] = []

        def accept(reader: asyncio.StreamReader, writer: Writer) -> None:
            talks.append(group.create_task(chat.serve(reader, writer)))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        chat.port = server.sockets[0].getsockname()[1]
        try:
            yield chat
        finally:
            server.close()
            for talk in talks:
                talk.cancel()
