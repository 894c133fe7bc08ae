"""Tells systemd how the service is: the protocol of sd_notify(3), which is one datagram per message.

Does nothing where the service was not started by systemd.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

_log = logging.getLogger(__name__)
_NS_PER_US: Final = 1000
_LONGEST_STATUS: Final = 400
"""In characters. `systemctl status` shows one line."""


class Notifier:
    """Sends to the socket that $NOTIFY_SOCKET names: a path, or an abstract one that begins with "@".

    Nothing here waits or raises: a message that systemd does not take is logged once and lost.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._socket: socket.socket | None = None
        self._failed = False
        if self._address.startswith(("/", "\0")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(0)

    def ready(self) -> None:
        """Say that a question could be answered from here on; after `reloading`, that this is over."""
        self._send("READY=1")

    def status(self, line: str) -> None:
        """Give the line that `systemctl status` shows."""
        self._send(f"STATUS={' '.join(line.split())[:_LONGEST_STATUS]}")

    def reloading(self) -> None:
        """Say that the settings are read anew; `ready` ends that."""
        # systemd tells by the time which of two reloads a later READY=1 belongs to.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // _NS_PER_US}")

    def stopping(self) -> None:
        """Say that the service ends."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Send nothing from here on."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError as error:
            if not self._failed:
                _log.warning("systemd does not hear how the service is: %s", error.strerror)
            self._failed = True
