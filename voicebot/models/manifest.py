"""What the store remembers of an installed model: every file's hash, and a stamp that shows it is still that file."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_FOLDER: Final = ".manifests"


class Stamp(BaseModel):
    """Size in bytes, modification time and inode: a file with an unchanged stamp is not hashed again."""

    model_config = ConfigDict(frozen=True)

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Return the stamp that the file has now."""
        status = path.stat()
        return cls(size=status.st_size, mtime_ns=status.st_mtime_ns, inode=status.st_ino)


NEVER: Final = Stamp(size=-1, mtime_ns=-1, inode=-1)


class Record(BaseModel):
    """A file that was hashed: its SHA-256, and its stamp then."""

    model_config = ConfigDict(frozen=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    stamp: Stamp


class _Manifest(BaseModel):
    files: Mapping[str, Record] = {}


def read_records(root: Path, model_id: str) -> dict[str, Record]:
    """Return the records of a model's files by name; none when there is no readable manifest."""
    try:
        return dict(_Manifest.model_validate_json(_path(root, model_id).read_bytes()).files)
    except (OSError, ValidationError):
        # A lost manifest costs a hash of each file, and a pull where only the publisher knew the hash.
        return {}


def write_records(root: Path, model_id: str, records: Mapping[str, Record]) -> None:
    """Replace a model's manifest in one step."""
    replace_text(_path(root, model_id), json.dumps(_Manifest(files=records).model_dump(), indent=1))


def replace_text(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old text or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _path(root: Path, model_id: str) -> Path:
    return root / _FOLDER / f"{model_id}.json"
