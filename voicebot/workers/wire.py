"""What goes over a worker's socket: frames of a JSON header and raw bytes, each with its length in front.

Audio goes as raw bytes in the frame. An utterance is at most 1 MB and copying it takes well under a millisecond, so a
second, shared, memory for it would only be one more thing to clean up after a crash.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any, Final

from voicebot.errors import WorkerDiedError

_LENGTHS: Final = struct.Struct("!II")
_LONGEST_HEADER: Final = 4 << 20
_LONGEST_PAYLOAD: Final = 64 << 20
Header = dict[str, Any]


def encode(header: Header, payload: bytes = b"") -> bytes:
    """Return one frame."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(text), len(payload)) + text + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[Header, bytes] | None:
    """Return the next frame; None at the end. Raises WorkerDiedError when it ends inside one or is none."""
    begun = False
    try:
        lengths = await reader.readexactly(_LENGTHS.size)
        begun = True
        header_length, payload_length = _checked(lengths)
        return json.loads(await reader.readexactly(header_length)), await reader.readexactly(payload_length)
    except asyncio.IncompleteReadError as error:
        if begun or error.partial:
            raise WorkerDiedError("the worker's last message is cut short.") from error
        return None
    except ConnectionError:
        return None
    except ValueError as error:
        raise WorkerDiedError("the worker's message can't be read.") from error


def receive_frame(connection: socket.socket) -> tuple[Header, bytes] | None:
    """Return the next frame, waiting for it; None when the other side is gone."""
    lengths = _receive(connection, _LENGTHS.size)
    if lengths is None:
        return None
    header_length, payload_length = _checked(lengths)
    header, payload = _receive(connection, header_length), _receive(connection, payload_length)
    if header is None or payload is None:
        return None
    return json.loads(header), payload


def _checked(lengths: bytes) -> tuple[int, int]:
    header_length, payload_length = _LENGTHS.unpack(lengths)
    if header_length > _LONGEST_HEADER or payload_length > _LONGEST_PAYLOAD:
        raise WorkerDiedError("the worker's message has an impossible length.")
    return header_length, payload_length


def _receive(connection: socket.socket, length: int) -> bytes | None:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if count == 0:
            return None
        view = view[count:]
    return bytes(data)
