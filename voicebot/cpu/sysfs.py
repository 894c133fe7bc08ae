"""The kernel's small files: words, numbers, lists of processors. What is missing or makes no sense is None or empty.

Knows nothing of what the files mean, and never raises for what is in them.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

_MOST_BYTES: Final = 1 << 16
"""More than a page, which is the most that a file of sysfs holds, and enough for /proc/stat up to its first lines."""
_MOST_CPUS: Final = 1 << 13
"""As many as Linux can be built for on x86-64."""
_NUMBER: Final = re.compile(r"[+-]?\d{1,19}")
_CPUS: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


class Folder:
    """A directory of such files. Keeps the names of those that are there and make no sense, to be told of once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.nonsense: list[str] = []

    def text(self, name: str) -> str | None:
        """Return a file's text without the blanks around it; None where it can't be read, or is not text."""
        try:
            return _read(self.path / name).decode("ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            self.nonsense.append(name)
            return None

    def words(self, name: str) -> tuple[str, ...]:
        """Return a file's words."""
        return tuple((self.text(name) or "").split())

    def word(self, name: str) -> str:
        """Return the only word of a file; empty where it has none, or several."""
        words = self.words(name)
        if len(words) > 1:
            self.nonsense.append(name)
        return words[0] if len(words) == 1 else ""

    def number(self, name: str) -> int | None:
        """Return the whole number that a file holds."""
        text = self.text(name)
        if text is not None and _NUMBER.fullmatch(text):
            return int(text)
        if text is not None:
            self.nonsense.append(name)
        return None

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return the whole numbers that a file lists; nothing where one of its words is none."""
        words = self.words(name)
        if all(_NUMBER.fullmatch(word) for word in words):
            return tuple(map(int, words))
        self.nonsense.append(name)
        return ()

    def cpus(self, name: str) -> tuple[int, ...]:
        """Return the processors of a list such as "0-3,6" or "0 1 2", ascending."""
        text = self.text(name)
        found: set[int] = set()
        for part in re.split(r"[,\s]+", text) if text else ():
            span = _CPUS.fullmatch(part)
            first, last = (int(span[1]), int(span[2] or span[1])) if span else (1, 0)
            if not first <= last < _MOST_CPUS:
                self.nonsense.append(name)
                return ()
            found.update(range(first, last + 1))
        return tuple(sorted(found))

    def matching(self, pattern: str) -> list[Path]:
        """Return what is in here under such a name, in the order of the numbers in it."""
        try:
            found = [path for path in self.path.iterdir() if fnmatch(path.name, pattern)]
        except OSError:
            return []
        return sorted(found, key=_by_number)


def _by_number(path: Path) -> tuple[list[int], str]:
    return [int(digits[:9]) for digits in re.findall(r"\d+", path.name)], path.name


def _read(path: Path) -> bytes:
    # Not Path.read_bytes(): a sensor that is switched off answers EAGAIN, which Python's files turn into None.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.read(descriptor, _MOST_BYTES)
    finally:
        os.close(descriptor)
