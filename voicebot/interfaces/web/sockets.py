"""Ends a WebSocket in bounded time: a peer that takes nothing any more would hold up a polite farewell for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from aiohttp import web

_FAREWELL_S: Final = 0.5


class Close(IntEnum):
    """Why one is closed (RFC 6455, 7.4.1)."""

    GOING_AWAY = 1001
    UNSUPPORTED = 1003
    POLICY = 1008


async def close(socket: web.WebSocketResponse, transport: asyncio.Transport | None, code: Close, reason: str) -> None:
    """Say goodbye, or cut it off."""
    try:
        async with asyncio.timeout(_FAREWELL_S):
            await socket.close(code=code, message=reason.encode()[:120])
    except (TimeoutError, ConnectionError):
        if transport is not None:
            transport.abort()


async def close_all(sockets: Iterable[tuple[web.WebSocketResponse, asyncio.Transport | None]]) -> None:
    """End all of them at once: the server stops."""
    farewells = [close(socket, transport, Close.GOING_AWAY, "the assistant stops") for socket, transport in sockets]
    await asyncio.gather(*farewells)
