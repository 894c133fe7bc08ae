"""The folder of the recordings: nobody but the daemon's user reads them, and none stays for longer than allowed.

All calls block, for as long as a disk takes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Final

_NAMES: Final = re.compile(r"\.?recording-\d{8}T\d{6}Z(-\d+)?\.(jsonl|zip)(\.part)?")
"""No other file is touched: the folder may be one that has other things in it."""
_PART: Final = ".part"


class RecordingFolder:
    """Keeps the newest `most_files`, and of those none that is older than the retention time."""

    def __init__(self, folder: Path, most_files: int, retention_s: float) -> None:
        self._folder = folder
        self._most_files = most_files
        self._retention_s = retention_s

    def write(self, now: datetime, suffix: str, write: Callable[[IO[bytes]], None]) -> Path:
        """Write a file that appears whole or not at all, and return it. Raises OSError, and what `write` raises."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._free(f"recording-{now:%Y%m%dT%H%M%SZ}", suffix)
        part = path.with_name(f".{path.name}{_PART}")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                write(file)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return path

    def tidy(self, now: datetime) -> int:
        """Remove what is too old or too much; return how many files are left. Raises OSError."""
        aged = sorted((now.timestamp() - changed_s, path) for path, changed_s in self._found())
        kept = 0
        for age_s, path in aged:
            if age_s > self._retention_s or kept == self._most_files:
                path.unlink(missing_ok=True)
            else:
                kept += 1
        return kept

    def _found(self) -> Iterator[tuple[Path, float]]:
        """Yield each recording, and when it was written, in seconds of the epoch."""
        with suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                if _NAMES.fullmatch(path.name):
                    with suppress(FileNotFoundError):
                        yield path, path.lstat().st_mtime

    def _free(self, stem: str, suffix: str) -> Path:
        path, number = self._folder / f"{stem}{suffix}", 1
        while os.path.lexists(path):
            number += 1
            path = self._folder / f"{stem}-{number}{suffix}"
        return path
