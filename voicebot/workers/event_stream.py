"""The data of server-sent events, out of the bytes of a response (WHATWG HTML, section 9.2.6)."""

from __future__ import annotations

from typing import Final

from voicebot.errors import EngineError

LONGEST_EVENT_BYTES: Final = 1 << 16
"""A token of a reply takes a few hundred."""


class EventStream:
    """Bytes in, as they come; the data of whole events out. Lines end in LF or CR LF, as all servers write them."""

    def __init__(self) -> None:
        self._unfinished = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, received: bytes) -> list[str]:
        """Return the data of the events that are complete. Raises EngineError for what is no such stream."""
        self._unfinished += received
        *lines, rest = self._unfinished.split(b"\n")
        self._unfinished = bytearray(rest)
        events: list[str] = []
        for line in lines:
            self._check(len(line))
            self._take(bytes(line.removesuffix(b"\r")), events)
        self._check(len(rest))
        return events

    def _take(self, line: bytes, events: list[str]) -> None:
        if line.startswith(b"data:"):
            data = line.removeprefix(b"data:").removeprefix(b" ")
            self._data.append(data)
            self._data_bytes += len(data)
        elif not line and self._data:
            try:
                events.append(b"\n".join(self._data).decode())
            except UnicodeDecodeError as error:
                raise EngineError("the stream of events is not UTF-8.") from error
            self._data, self._data_bytes = [], 0

    def _check(self, line_bytes: int) -> None:
        if self._data_bytes + line_bytes > LONGEST_EVENT_BYTES:
            raise EngineError(f"an event of the stream is longer than {LONGEST_EVENT_BYTES} bytes.")
