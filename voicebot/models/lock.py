"""A lock between processes, and between threads of one."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from voicebot.errors import ModelError

_FOLDER: Final = ".locks"


@contextmanager
def locked(root: Path, name: str) -> Iterator[None]:
    """Hold the lock `name` of the store at `root`; waits for whoever has it. A dead holder lets go by itself.

    `ModelError` when the store cannot be written.
    """
    path = root / _FOLDER / f"{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise ModelError(
            f"The model store {root} cannot be written ({error}); set VOICEBOT_MODELS to a folder of yours."
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
