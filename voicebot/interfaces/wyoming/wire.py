"""Events of the Wyoming protocol on a connection. All that comes in has a limit, since nobody knows who sends it.

An event is a JSON header on a line, then JSON data and then a payload of the lengths that the header gives:
https://github.com/OHF-Voice/wyoming
"""

from __future__ import annotations

import asyncio
import json
import unicodedata
from typing import Any, Final

from wyoming.event import Event, Eventable
from wyoming.ping import Pong

from voicebot.errors import VoicebotError

LONGEST_HEADER_BYTES: Final = 65_536
"""The least limit of the reader that is handed to `EventStream`."""
_MOST_DATA_BYTES: Final = 262_144
_MOST_PAYLOAD_BYTES: Final = 1_048_576
"""32 s of the audio that recognisers take; others send a tenth of a second at once."""
_WHOLE_EVENT_S: Final = 10.0
_SEND_S: Final = 10.0
_CLOSE_S: Final = 1.0
_MOST_UNSENT_BYTES: Final = 1_048_576


class ProtocolError(VoicebotError):
    """What came is no event, or none that makes sense here. The connection has to be closed."""


class GoneError(VoicebotError):
    """Who was at the other end is gone, or takes nothing any more."""


class EventStream:
    """Reads and writes events on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """`reader` was made with `limit=LONGEST_HEADER_BYTES`, or a larger one where much is to be read ahead."""
        self._reader = reader
        self._writer = writer

    @property
    def unsent_bytes(self) -> int:
        """How much waits to be taken by the network."""
        return self._writer.transport.get_write_buffer_size()

    async def read(self, idle_s: float | None = None) -> Event | None:
        """Return the next event; None when there will be no more.

        Raises TimeoutError when none has begun in `idle_s`, after which one may go on reading, and ProtocolError.
        """
        try:
            async with asyncio.timeout(idle_s):
                line = await self._reader.readline()
        except ValueError as error:
            raise ProtocolError(f"a header has more than {LONGEST_HEADER_BYTES} bytes.") from error
        except ConnectionError:
            return None
        if not line:
            return None
        if len(line) > LONGEST_HEADER_BYTES:
            raise ProtocolError(f"a header has more than {LONGEST_HEADER_BYTES} bytes.")
        header = _json_object(line)
        try:
            async with asyncio.timeout(_WHOLE_EVENT_S):
                data = await self._read_exactly(_length(header, "data_length", _MOST_DATA_BYTES))
                payload = await self._read_exactly(_length(header, "payload_length", _MOST_PAYLOAD_BYTES))
        except TimeoutError as error:
            raise ProtocolError(f"an event was not complete after {_WHOLE_EVENT_S:.0f} s.") from error
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        kind, known = header.get("type"), header.get("data", {})
        if not isinstance(kind, str) or not isinstance(known, dict):
            raise ProtocolError("an event has a type, which is a text, and data, which are an object.")
        return Event(kind, {**known, **(_json_object(data) if data else {})}, payload or None)

    def send(self, *events: Eventable) -> None:
        """Give events to the network without waiting. Raises GoneError when it takes nothing any more."""
        if self._writer.is_closing() or self.unsent_bytes > _MOST_UNSENT_BYTES:
            raise GoneError("the other end takes nothing any more.")
        self._writer.write(b"".join(map(encoded, events)))

    async def flush(self) -> None:
        """Wait until the network has taken most of what was sent. Raises GoneError when that takes too long."""
        try:
            async with asyncio.timeout(_SEND_S):
                await self._writer.drain()
        except (ConnectionError, TimeoutError) as error:
            raise GoneError("the other end takes nothing any more.") from error

    async def close(self) -> None:
        """Close the connection once what was sent is gone, or at once where that takes long."""
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    async def _read_exactly(self, size: int) -> bytes:
        return await self._reader.readexactly(size) if size else b""


def encoded(event: Eventable) -> bytes:
    """Return an event as it goes over the network."""
    plain = event.event()
    data = json.dumps(plain.data).encode() if plain.data else b""
    payload = plain.payload or b""
    header = {"type": plain.type, "data_length": len(data), "payload_length": len(payload)}
    return b"".join((json.dumps(header).encode(), b"\n", data, payload))


def pong(ping: Event) -> Pong:
    """Return the answer to a ping."""
    text = ping.data.get("text")
    return Pong(text if isinstance(text, str) else None)


def text_of(event: Event, longest: int) -> str:
    """Return the text that came with an event, on one line and without what can't be shown. Raises ProtocolError."""
    text = event.data.get("text")
    if not isinstance(text, str):
        raise ProtocolError(f"{event.type} comes with a text.")
    if len(text) > longest:
        raise ProtocolError(f"a text has at most {longest} characters here; this one has {len(text)}.")
    return "".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in text)


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("what came is no JSON.") from error
    if not isinstance(found, dict):
        raise ProtocolError("what came is no JSON object.")
    return found


def _length(header: dict[str, Any], name: str, most: int) -> int:
    length = header.get(name)
    if length is None:
        return 0
    if type(length) is not int or not 0 <= length <= most:
        raise ProtocolError(f"{name} is a number from 0 to {most}.")
    return length
