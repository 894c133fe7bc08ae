"""What was changed of the kernel's files, on disk: so that another process can put it back after a crash."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from voicebot.cpu.limits import CEILING, FLOOR, PREFERENCE

_log = logging.getLogger(__name__)
UCLAMPS: Final = ("cpu.uclamp.min", "cpu.uclamp.max")
"""The clamps of a cgroup."""
_KINDS: Final = {FLOOR, CEILING, PREFERENCE, *UCLAMPS}
"""A journal that names other files is damaged, whoever damaged it."""


def default_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the journal is: in systemd's $RUNTIME_DIRECTORY, the user's own one, or the user's cache."""
    if given := environ.get("RUNTIME_DIRECTORY"):
        return Path(given.split(":")[0]) / "cpu.json"
    if own := environ.get("XDG_RUNTIME_DIR"):
        return Path(own) / "voicebot/cpu.json"
    return Path.home() / ".cache/voicebot/cpu.json"


@dataclass(slots=True)
class Change:
    """One file: what it held before, and all that it may hold because of us."""

    original: str
    ours: list[str] = field(default_factory=list)
    settled: bool = True
    """False while a value is written for the first time: nobody knows yet what the kernel makes of it."""

    def explains(self, held: str) -> bool:
        """Return whether the file holds something of ours; it is empty only where a write was cut off."""
        return not self.settled or not held or held in self.ours


class Journal:
    """One JSON file, replaced whole. Who has locked its directory owns it, and the lock ends with its process."""

    def __init__(self, path: Path, boot: str) -> None:
        """`boot` tells one run of the computer from another: what was changed in an earlier one is gone by itself."""
        self.usable = True
        """Whether anything can be noted, as far as is known."""
        self._path = path
        self._boot = boot
        self._lock: int | None = None
        self._waits = False

    @property
    def locked(self) -> bool:
        """Whether this process owns it."""
        return self._lock is not None

    def lock(self) -> bool:
        """Become its owner, and return whether that was possible."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            self._can_not_note(error)
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            if not self._waits:
                _log.info("%s: another process sets the processor's speed", self._path)
            self._waits = True
            return False
        self._lock = lock
        return True

    def unlock(self) -> None:
        """Let others own it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def load(self) -> dict[str, Change]:
        """Return the changes by the file's name; none where the file is damaged, which is logged."""
        try:
            found = json.loads(self._path.read_text("utf-8"))
            changes = {name: _parse(name, change) for name, change in found["files"].items()}
            same_boot = found["boot"] == self._boot
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            _log.warning("%s is damaged (%s): nothing is put back", self._path, error)
            return {}
        return changes if same_boot else {}

    def save(self, changes: Mapping[str, Change]) -> bool:
        """Replace the file, or remove it when nothing is changed. Return whether that was possible."""
        try:
            if not changes:
                self._path.unlink(missing_ok=True)
                return True
            part = self._path.with_name(f".{self._path.name}.part")
            with part.open("w", encoding="utf-8") as file:
                files = {name: asdict(change) for name, change in changes.items()}
                json.dump({"boot": self._boot, "files": files}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            self._can_not_note(error)
            return False
        return True

    def _can_not_note(self, error: OSError) -> None:
        if self.usable:
            _log.warning("%s can't be written (%s): the processor's speed is left alone", self._path, error.strerror)
        self.usable = False


def _parse(name: str, change: dict[str, Any]) -> Change:
    path = PurePosixPath(name)
    if path.parts[0] != "sys" or ".." in path.parts or path.name not in _KINDS:
        raise ValueError(f"{name} is no file of ours")
    original, ours, settled = change["original"], change["ours"], change["settled"]
    if not isinstance(original, str) or not all(isinstance(content, str) for content in ours):
        raise TypeError(f"{name} has no text")
    return Change(original, list(ours), bool(settled))
