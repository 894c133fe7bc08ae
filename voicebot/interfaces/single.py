"""One daemon in one place: a second one is refused."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from voicebot.config.runtime import make_runtime_folder
from voicebot.errors import VoicebotError

_FILE: Final = "daemon.lock"


class AlreadyRunningError(VoicebotError):
    """There is a daemon already."""


class NoRuntimeFolderError(VoicebotError):
    """There is no place where the daemon could be found."""


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Be the only daemon of a folder while the block runs. Who dies lets go by itself; the file stays.

    Blocks for a moment: to be entered before the event loop runs. Raises AlreadyRunningError and
    NoRuntimeFolderError.
    """
    path = folder / _FILE
    try:
        make_runtime_folder(folder)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except OSError as error:
        raise NoRuntimeFolderError(
            f"{path} can't be written ({error.strerror}); set $XDG_RUNTIME_DIR to a folder of yours."
        ) from error
    with os.fdopen(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = file.read(20).strip()
            raise AlreadyRunningError(
                f"a daemon runs already{f', process {pid}' if pid else ''}; end that one first, or ask it with "
                "`voicebot status`."
            ) from None
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
