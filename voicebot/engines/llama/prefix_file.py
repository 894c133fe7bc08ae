"""The computed system prompt on disk, so that a worker that starts need not compute it again."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import llama_cpp
import numpy as np

_log = logging.getLogger(__name__)
_MOST_FILES: Final = 8
_DIGEST_BYTES: Final = 32


class PrefixFile:
    """Keys and values of one beginning of all conversations, for one model and one build of llama.cpp.

    Nothing here raises: what can't be read is computed again, and what can't be written is written another time.
    """

    def __init__(self, directory: Path, model: Path, kv_type: str, tokens: Sequence[int]) -> None:
        found = model.stat()
        known_by = (str(model.resolve()), found.st_size, found.st_mtime_ns, kv_type, llama_cpp.__version__)
        name = hashlib.blake2b(repr(known_by).encode() + np.asarray(tokens, np.int32).tobytes(), digest_size=16)
        self._path = directory / f"{name.hexdigest()}.state"

    @property
    def exists(self) -> bool:
        """Whether it has been saved; it may still turn out to be damaged."""
        return self._path.exists()

    def load(self) -> bytes | None:
        """Return what was saved, or None."""
        try:
            data = self._path.read_bytes()
        except OSError:
            return None
        digest, state = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if _digest(state) != digest:
            _log.warning("%s is damaged; the system prompt is computed again", self._path)
            self._path.unlink(missing_ok=True)
            return None
        return state

    def save(self, state: bytes) -> None:
        """Write it whole or not at all, and remove the oldest of too many."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._path.parent, prefix=".state-", delete=False) as file:
                temporary = Path(file.name)
                try:
                    file.write(_digest(state) + state)
                    file.flush()
                    temporary.replace(self._path)
                except OSError:
                    temporary.unlink(missing_ok=True)
                    raise
            others = sorted(self._path.parent.glob("*.state"), key=lambda path: path.stat().st_mtime_ns)
            for path in others[:-_MOST_FILES]:
                path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("the system prompt's state is not kept (%s)", error)


def _digest(state: bytes) -> bytes:
    return hashlib.blake2b(state, digest_size=_DIGEST_BYTES).digest()
