"""Asks the running daemon, for the command line: blocking, one request after the other."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from voicebot.config.runtime import control_path, folders_to_ask
from voicebot.errors import UsageError, VoicebotError
from voicebot.interfaces.control_requests import SCHEMA

_PATIENCE_S: Final = 10.0
_LONGEST_ANSWER: Final = 4_194_304


class NoDaemonError(VoicebotError):
    """No daemon runs that could be asked."""


class ControlClient:
    """One connection. Raises VoicebotError, with the daemon's own sentence and exit code where it refused something."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._lines = connected.makefile("rb")

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ) -> Self | None:
        """Connect to the user's own daemon, else to the box's; None when neither runs.

        Raises NoDaemonError for one that may not be asked.
        """
        for folder in folders_to_ask(environ):
            connected = _connect(control_path(folder))
            if connected is not None:
                return cls(connected)
        return None

    @classmethod
    def connect(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Connect as `find` does. Raises NoDaemonError when none runs."""
        found = cls.find(environ)
        if found is None:
            raise NoDaemonError("no daemon runs that could be asked; start one with `voicebot run`.")
        return found

    def __enter__(self) -> Self:
        """Nothing is left to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        self._lines.close()
        self._socket.close()

    def request(self, name: str, *, patience_s: float | None = _PATIENCE_S, **fields: object) -> dict[str, Any]:
        """Ask for one thing and return the result. `patience_s` None waits for as long as it takes."""
        line = json.dumps({"schema": SCHEMA, "request": name, **fields})
        self._socket.settimeout(patience_s)
        try:
            self._socket.sendall(line.encode("ascii") + b"\n")
        except OSError as error:
            raise NoDaemonError("the daemon has hung up; `voicebot status` says whether it still runs.") from error
        answer = self._read()
        if answer.get("ok") is not True:
            kind = UsageError if answer.get("exit_code") == UsageError.exit_code else VoicebotError
            raise kind(str(answer.get("error")))
        result = answer.get("result")
        if not isinstance(result, dict):
            raise NoDaemonError("what answers there is no daemon of this version; restart it.")
        return result

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield every event from here on. Raises NoDaemonError when the daemon ends."""
        self.request("events")
        self._socket.settimeout(None)
        while True:
            yield self._read()

    def _read(self) -> dict[str, Any]:
        try:
            line = self._lines.readline(_LONGEST_ANSWER)
            answer = json.loads(line) if line else None
        except TimeoutError as error:
            raise NoDaemonError("the daemon does not answer; its log may say why.") from error
        except (OSError, ValueError) as error:
            raise NoDaemonError(f"the daemon's answer was cut off ({error}).") from error
        if not isinstance(answer, dict):
            raise NoDaemonError("the daemon has ended, or hung up.")
        return answer


def _connect(path: Path) -> socket.socket | None:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.settimeout(_PATIENCE_S)
    try:
        connected.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        connected.close()
        return None
    except PermissionError as error:
        connected.close()
        raise NoDaemonError(
            f"a daemon may run at {path.parent}, but you may not ask it; be in the group of that folder."
        ) from error
    except OSError as error:
        connected.close()
        raise NoDaemonError(f"{path} can't be reached ({error.strerror or error}).") from error
    return connected
