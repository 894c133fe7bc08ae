"""Hashes of files: SHA-256, and the git blob hash by which a hub vouches for its small files."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CHUNK_BYTES: Final = 1 << 20
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_GIT_BLOB: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Digest:
    """What a file must hash to: 64 hex digits of SHA-256, or 40 of a git blob (SHA-1 over a header and the file)."""

    value: str

    def __post_init__(self) -> None:
        if not (_SHA256.fullmatch(self.value) or _GIT_BLOB.fullmatch(self.value)):
            raise ValueError(f"{self.value!r} is neither a SHA-256 nor a git blob hash")

    @property
    def is_sha256(self) -> bool:
        """Whether this is a SHA-256, and so strong enough to be pinned as it is."""
        return len(self.value) == 64

    def matches(self, path: Path) -> bool:
        """Return whether the file hashes to this; reads all of it."""
        return self.value == (sha256_of(path) if self.is_sha256 else _git_blob_of(path))


def sha256_of(path: Path) -> str:
    """Return the file's SHA-256 as hex digits."""
    return _hash_into(hashlib.sha256(), path)


def _git_blob_of(path: Path) -> str:
    header = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    return _hash_into(header, path)


def _hash_into(digest: hashlib._Hash, path: Path) -> str:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
