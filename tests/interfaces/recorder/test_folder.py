"""Files of the recorder: whole or not there, for their owner alone, and removed in time."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import IO

import pytest

from tests.interfaces.recorder.scene import NOON
from voicebot.interfaces.recorder.folder import RecordingFolder


def put(file: IO[bytes]) -> None:
    file.write(b"something")


def aged(path: Path, hours: float) -> Path:
    path.touch()
    when_s = (NOON - timedelta(hours=hours)).timestamp()
    os.utime(path, (when_s, when_s))
    return path


def test_a_file_is_its_owners_alone_whatever_the_mask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        path = RecordingFolder(tmp_path / "new", 10, 3600).write(NOON, ".jsonl", put)
    finally:
        os.umask(mask)
    assert path == tmp_path / "new/recording-20261122T120000Z.jsonl"
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"something", 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_it_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = RecordingFolder(tmp_path, 10, 3600)

    def fail(file: IO[bytes]) -> None:
        put(file)
        assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        folder.write(NOON, ".zip", fail)
    assert list(tmp_path.iterdir()) == []


def test_two_in_one_second_have_names_of_their_own(tmp_path: Path) -> None:
    folder = RecordingFolder(tmp_path, 10, 3600)
    names = [folder.write(NOON, ".zip", put).name for _ in range(3)]
    assert names == [f"recording-20261122T120000Z{more}.zip" for more in ("", "-2", "-3")]


def test_what_is_too_old_is_removed_and_nothing_else(tmp_path: Path) -> None:
    old = aged(tmp_path / "recording-20261120T120000Z.zip", 48)
    dead = aged(tmp_path / ".recording-20261120T120000Z-2.zip.part", 48)
    young = aged(tmp_path / "recording-20261122T110000Z.jsonl", 1)
    others = [
        aged(tmp_path / name, 9999) for name in ("notes.txt", "recording.zip", "my-recording-20261120T120000Z.zip")
    ]
    assert RecordingFolder(tmp_path, 10, 24 * 3600).tidy(NOON) == 1
    assert [old.exists(), dead.exists(), young.exists()] == [False, False, True]
    assert all(path.exists() for path in others)


def test_there_are_only_so_many_and_the_newest_stay(tmp_path: Path) -> None:
    files = [aged(tmp_path / f"recording-2026112{day}T120000Z.zip", 24 * (2 - day)) for day in range(3)]
    assert RecordingFolder(tmp_path, 2, 1e9).tidy(NOON) == 2
    assert [file.exists() for file in files] == [False, True, True]


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert RecordingFolder(tmp_path / "none", 10, 3600).tidy(NOON) == 0
