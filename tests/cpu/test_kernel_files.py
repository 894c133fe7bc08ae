"""Small files, and what is remembered of those that refuse."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from unittest.mock import patch

import pytest

from voicebot.cpu.kernel_files import KernelFiles


def test_every_byte_is_given_back(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(256)))
    files = KernelFiles(tmp_path)
    content = files.read("file")
    assert content is not None
    assert files.write("file", "short\n")
    assert files.read("file") == "short\n"
    assert files.write("file", content)
    assert (tmp_path / "file").read_bytes() == bytes(range(256))


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    files = KernelFiles(tmp_path)
    assert files.read("file") is None
    assert not files.may_write("file")
    assert not files.write("file", "1\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "tries"),
    [(errno.EACCES, 1), (errno.EPERM, 1), (errno.EROFS, 1), (errno.EINVAL, 2), (errno.ENOENT, 4), (errno.EBUSY, 4)],
)
def test_refusals_are_logged_once_and_tried_again_where_that_may_help(
    code: int, tries: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = KernelFiles(tmp_path)
    with caplog.at_level(logging.INFO), patch("os.open", side_effect=OSError(code, os.strerror(code))) as opened:
        for content in ("1\n", "2\n", "1\n", "2\n"):
            assert not files.write("policy0/scaling_max_freq", content)
        assert not files.write("policy4/scaling_max_freq", "1\n")
    assert opened.call_count == tries + 1
    assert [record.getMessage().split()[0] for record in caplog.records] == ["scaling_max_freq"]
