"""Log records in systemd's journal, with fields by which they are found: its native protocol, a datagram a record.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final, Protocol

SOCKET: Final = "/run/systemd/journal/socket"
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
_MOST_CHARACTERS: Final = 16_384
"""Of one field. In UTF-8 that is 64 KiB at most; the kernel takes datagrams of some 200 KiB."""


class Talk(Protocol):
    """What is asked of a session."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def turn(self) -> int | None:
        """The turn that is under way."""


talk: ContextVar[Talk | None] = ContextVar("talk", default=None)
"""The conversation that the running task belongs to."""


def is_journal(environ: Mapping[str, str], descriptor: int) -> bool:
    """Return whether what is written there arrives in the journal, as $JOURNAL_STREAM says."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class JournalHandler(logging.Handler):
    """Takes records to the journal; what it does not take at once goes to standard error, which systemd reads as well.

    `extra={"fields": {"stage": "asr"}}` gives a record the field VOICEBOT_STAGE. One that is logged by a conversation's
    task has VOICEBOT_SESSION and VOICEBOT_TURN of itself.
    """

    def __init__(self, address: str = SOCKET) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))  # else logging.basicConfig sets a longer one
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(0)
        self._otherwise = logging.StreamHandler()
        self._otherwise.setFormatter(_ForStandardError())

    def emit(self, record: logging.LogRecord) -> None:
        """Send one. Raises nothing, and does not wait for the journal."""
        try:
            datagram = encode(self._fields(record))
            try:
                self._socket.sendto(datagram, self._address)
            except OSError:
                self._otherwise.emit(record)
        except Exception:  # noqa: BLE001 - as logging has it: whoever logs something wrong goes on
            self.handleError(record)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
        super().close()

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        current = talk.get()
        ours = {} if current is None else {"session": current.name, "turn": current.turn}
        ours |= getattr(record, "fields", {})
        return {
            "MESSAGE": self.format(record),
            "PRIORITY": _priority(record),
            "SYSLOG_IDENTIFIER": "voicebot",
            "LOGGER": record.name,
            "CODE_FILE": record.pathname,
            "CODE_LINE": record.lineno,
            "CODE_FUNC": record.funcName,
            **{f"VOICEBOT_{name.upper()}": value for name, value in ours.items() if value is not None},
        }


def encode(fields: Mapping[str, object]) -> bytes:
    """Return a datagram of fields. Of a very long one the middle is left out."""
    return b"".join(_encode(name.encode(), str(value)) for name, value in fields.items())


def _encode(name: bytes, text: str) -> bytes:
    if len(text) > _MOST_CHARACTERS:
        half = _MOST_CHARACTERS // 2 - 8
        text = f"{text[:half]}\n[...]\n{text[-half:]}"
    value = text.encode("utf-8", "replace")
    if b"\n" in value:
        return b"%b\n%b%b\n" % (name, struct.pack("<Q", len(value)), value)
    return b"%b=%b\n" % (name, value)


def _priority(record: logging.LogRecord) -> int:
    """Return the level as syslog(3) has it."""
    return next(number for least, number in _PRIORITIES if record.levelno >= least)


class _ForStandardError(logging.Formatter):
    """Each line after its priority, as sd-daemon(3) has it; the journal has the time and the process."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(f"<{_priority(record)}>{line}" for line in super().format(record).splitlines())
