"""Fetches one file: resumed where it broke off, and accepted only when its size and hash are right."""

from __future__ import annotations

import errno
import http.client
import os
import re
import time
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from voicebot.errors import DownloadError
from voicebot.models.digest import Digest
from voicebot.models.web import Web, shown

Progress = Callable[[int, int], None]

_CHUNK_BYTES: Final = 1 << 18
_ATTEMPTS: Final = 6
_BACK_OFF_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
_WORTH_RETRYING: Final = {408, 425, 429, 500, 502, 503, 504}
_LOCAL_ERRORS: Final = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO, errno.EFBIG}


class _BrokenOffError(Exception):
    """The connection ended before the file did."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the file has to be: its size in bytes and its hash."""

    size: int
    digest: Digest


class Downloader:
    """Fetches files over one `Web`; `sleep_s` is what waits between attempts."""

    def __init__(self, web: Web, sleep_s: Callable[[float], None] = time.sleep) -> None:
        self._web = web
        self._sleep_s = sleep_s

    def fetch(self, url: str, target: Path, expected: Expected, progress: Progress) -> None:
        """Fetch `url` into `target` through `target.part`, which stays for the next try when this one fails.

        Raises `DownloadError` when the server refuses, the connection keeps breaking, the disk is full, or what
        came is not what was expected; in the last case nothing of it is kept.
        """
        part = part_of(target)
        part.parent.mkdir(parents=True, exist_ok=True)
        resumed = part.exists() and part.stat().st_size > 0
        self._receive_all(url, part, expected.size, progress)
        if resumed and not expected.digest.matches(part):
            # The old piece may have been of another file: only a fresh copy tells who is wrong.
            part.unlink()
            self._receive_all(url, part, expected.size, progress)
        if not expected.digest.matches(part):
            part.unlink()
            raise DownloadError(
                f"{shown(url)} has a wrong hash and was refused; run the pull again or tell its publisher."
            )
        put_in_place(part, target)

    def _receive_all(self, url: str, part: Path, size: int, progress: Progress) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                self._receive(url, part, size, progress)
            except urllib.error.HTTPError as error:
                if error.code not in _WORTH_RETRYING or attempt == _ATTEMPTS - 1:
                    raise DownloadError(
                        f"{shown(url)} answered {error.code} {error.reason}; try again later."
                    ) from error
            except (OSError, http.client.HTTPException, _BrokenOffError) as error:
                if isinstance(error, OSError) and error.errno in _LOCAL_ERRORS:
                    raise DownloadError(
                        f"{part} cannot be written ({os.strerror(error.errno or 0)}); free some space or set"
                        " VOICEBOT_MODELS to another folder, then pull again: it resumes."
                    ) from error
                if attempt == _ATTEMPTS - 1:
                    raise DownloadError(
                        f"The connection to {shown(url)} broke {_ATTEMPTS} times ({error}); pull again: it resumes."
                    ) from error
            else:
                return
            self._sleep_s(_BACK_OFF_S[attempt])

    def _receive(self, url: str, part: Path, size: int, progress: Progress) -> None:
        done = part.stat().st_size if part.exists() else 0
        if done > size:
            part.unlink()
            done = 0
        if done == size:
            progress(done, size)
            return
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
        with self._web.get(url, headers) as response:
            done, total = _agreed_range(response, done)
            if total is not None and total != size:
                raise DownloadError(f"{shown(url)} has {total} bytes where {size} were promised, and was refused.")
            with part.open("r+b" if done else "wb") as file:
                file.seek(done)
                file.truncate()
                _copy(response, file, done, size, progress)


def _agreed_range(response: http.client.HTTPResponse, asked: int) -> tuple[int, int | None]:
    """Return where the answer starts and how long the whole file is, if the server says so."""
    if response.status == http.client.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != asked:
            raise _BrokenOffError("the server sent another range than was asked for")
        return asked, None if found[2] == "*" else int(found[2])
    length = response.headers.get("Content-Length")
    return 0, int(length) if length else None


def _copy(response: http.client.HTTPResponse, file: BinaryIO, done: int, size: int, progress: Progress) -> None:
    progress(done, size)
    while chunk := response.read(_CHUNK_BYTES):
        done += len(chunk)
        if done > size:
            raise DownloadError(f"{shown(response.url)} sent more than the {size} bytes promised, and was refused.")
        file.write(chunk)
        progress(done, size)
    file.flush()
    if done < size:
        raise _BrokenOffError(f"{size - done} bytes are missing")
    os.fsync(file.fileno())


def part_of(target: Path) -> Path:
    """Return where `target` grows until it is whole."""
    return target.with_name(target.name + ".part")


def put_in_place(part: Path, target: Path) -> None:
    """Rename a finished, synced file over `target` and make the rename itself last."""
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
