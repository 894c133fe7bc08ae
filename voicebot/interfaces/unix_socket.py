"""A Unix socket that its owner and group alone can open. All calls block for a moment."""

from __future__ import annotations

import os
import socket
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voicebot.config.runtime import make_runtime_folder
from voicebot.interfaces.single import AlreadyRunningError

_MODE: Final = 0o660
_CREDENTIALS: Final = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens, and which file it is."""

    socket: socket.socket
    path: Path
    inode: tuple[int, int]

    def close(self) -> None:
        """Close it, and remove its file unless somebody else's has taken its place."""
        self.socket.close()
        if _inode(self.path) == self.inode:
            self.path.unlink(missing_ok=True)


def listen(path: Path) -> Listener:
    """Return a socket of that name. What a dead daemon has left there is replaced.

    Raises AlreadyRunningError when somebody answers there, and OSError when it can't be.
    """
    make_runtime_folder(path.parent)
    _remove_dead(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.settimeout(0)
        listener.bind(str(path))
        path.chmod(_MODE)  # nobody gets in before it listens
        listener.listen()
        return Listener(listener, path, _inode(path) or (0, 0))
    except BaseException:
        listener.close()
        raise


def peer_of(connected: socket.socket) -> str:
    """Return who is at the other end, as the kernel knows it."""
    pid, uid, _ = _CREDENTIALS.unpack(
        connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size),
    )
    return f"process {pid} of user {uid}"


def _remove_dead(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(None, "something else has its name")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)  # one that lives may be too busy to answer
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            pass
    raise AlreadyRunningError(f"a daemon runs already and listens at {path}; end that one first.")


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
