"""The kernel's files that hold one value each, below a root: `/`, or a tree of another box.

What can't be written is logged once for each kind of file and reason, and not tried again while that can't change.
"""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)
_FOR_GOOD: Final = {errno.EACCES, errno.EPERM, errno.EROFS}
_ENCODING: Final = "latin-1"
"""Every byte is a character, so that a file can be given back as it was."""


class KernelFiles:
    """Reads and writes them. Names are relative to the root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._refused: set[tuple[str, str | None]] = set()
        self._said: set[tuple[str, int]] = set()

    def read(self, name: str) -> str | None:
        """Return a file's whole content, None when it can't be read."""
        try:
            return self._read(name)
        except OSError:
            return None

    def read_before(self, name: str, content: str) -> str | None:
        """Return the same of a file that is about to be written; when it can't be read, it can't be given back."""
        try:
            return self._read(name)
        except OSError as error:
            self.refuse(name, content, error)
            return None

    def names(self, pattern: str) -> list[str]:
        """Return the files that a pattern names, in order."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.glob(pattern))

    def write(self, name: str, content: str) -> bool:
        """Write a file in one piece, and return whether that was accepted. A missing file is not made."""
        if self.is_refused(name, content):
            return False
        try:
            descriptor = os.open(self.root / name, os.O_WRONLY | os.O_TRUNC)
            try:
                os.write(descriptor, content.encode(_ENCODING))
            finally:
                os.close(descriptor)
        except OSError as error:
            self.refuse(name, content, error)
            return False
        return True

    def may_write(self, name: str) -> bool:
        """Return whether the permissions allow a file to be written, as far as is known."""
        return (name, None) not in self._refused and os.access(self.root / name, os.W_OK)

    def is_refused(self, name: str, content: str) -> bool:
        """Return whether it is known that the file, or this content of it, can't be written."""
        return not self._refused.isdisjoint({(name, None), (name, content)})

    def refuse(self, name: str, content: str, error: OSError) -> None:
        """Remember that a file, or this content of it, can't be written."""
        code = error.errno or errno.EIO
        if code in _FOR_GOOD:
            self._refused.add((name, None))
        elif code == errno.EINVAL:
            self._refused.add((name, content))
        kind = Path(name).name
        if (kind, code) not in self._said:
            self._said.add((kind, code))
            _log.info("%s can't be written (%s): the box goes on without it", kind, os.strerror(code))

    def _read(self, name: str) -> str:
        return (self.root / name).read_bytes().decode(_ENCODING)
