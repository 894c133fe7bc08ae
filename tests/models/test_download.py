from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from voicebot.errors import DownloadError
from voicebot.models.digest import Digest
from voicebot.models.download import Downloader, Expected, part_of
from voicebot.models.web import Web, shown

if TYPE_CHECKING:
    from tests.models.conftest import FakeWeb

BODY = bytes(range(256)) * 4096
EXPECTED = Expected(len(BODY), Digest(hashlib.sha256(BODY).hexdigest()))

Fetch = Callable[..., list[tuple[int, int]]]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "model" / "file"


@pytest.fixture
def fetch(web: FakeWeb, target: Path) -> Fetch:
    def fetched(expected: Expected = EXPECTED, timeout_s: float = 2) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        downloader = Downloader(Web(timeout_s), sleep_s=lambda _: None)
        downloader.fetch(f"{web.url}/file", target, expected, lambda done, total: seen.append((done, total)))
        return seen

    return fetched


def test_a_file_arrives_whole_and_its_progress_is_told(web: FakeWeb, target: Path, fetch: Fetch) -> None:
    web.put("/file", BODY)
    seen = fetch()
    assert target.read_bytes() == BODY
    assert not part_of(target).exists()
    assert seen[-1] == (len(BODY), len(BODY))
    assert seen == sorted(seen)


def test_a_cut_connection_is_resumed_where_it_broke(web: FakeWeb, target: Path, fetch: Fetch) -> None:
    web.put("/file", BODY, cuts=[300_000, 500_000])
    fetch()
    assert target.read_bytes() == BODY
    assert web.gets_of("/file") == ["", "bytes=300000-", "bytes=800000-"]


def test_the_next_run_resumes_what_this_one_left(web: FakeWeb, target: Path, fetch: Fetch) -> None:
    web.put("/file", BODY, cuts=[400_000, *[0] * 5])
    with pytest.raises(DownloadError, match="it resumes"):
        fetch()
    assert part_of(target).stat().st_size == 400_000
    seen = fetch()
    assert seen[0] == (400_000, len(BODY))
    assert target.read_bytes() == BODY


def test_a_server_without_ranges_starts_again(web: FakeWeb, target: Path, fetch: Fetch) -> None:
    web.put("/file", BODY, ranges=False, cuts=[300_000])
    fetch()
    assert target.read_bytes() == BODY
    assert web.gets_of("/file") == ["", "bytes=300000-"]


def test_another_range_than_asked_for_is_not_appended(web: FakeWeb, target: Path, fetch: Fetch) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(BODY[:1000])
    web.put("/file", BODY, status=206, ranges=False, headers={"Content-Range": f"bytes 0-9/{len(BODY)}"})
    with pytest.raises(DownloadError, match="another range"):
        fetch()
    assert part_of(target).read_bytes() == BODY[:1000]


def test_a_part_of_something_else_is_thrown_away(web: FakeWeb, target: Path, fetch: Fetch) -> None:
    web.put("/file", BODY)
    target.parent.mkdir()
    part_of(target).write_bytes(b"x" * 1000)
    fetch()
    assert target.read_bytes() == BODY
    assert web.gets_of("/file") == ["bytes=1000-", ""]


def test_a_part_that_is_too_long_is_thrown_away(web: FakeWeb, target: Path, fetch: Fetch) -> None:
    web.put("/file", BODY)
    target.parent.mkdir()
    part_of(target).write_bytes(BODY + b"x")
    fetch()
    assert web.gets_of("/file") == [""]


def test_a_whole_part_is_taken_without_a_request(web: FakeWeb, target: Path, fetch: Fetch) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(BODY)
    fetch()
    assert target.read_bytes() == BODY
    assert web.asked == []


def test_a_wrong_hash_is_refused_and_nothing_kept(web: FakeWeb, target: Path, fetch: Fetch) -> None:
    web.put("/file", BODY[::-1])
    with pytest.raises(DownloadError, match="wrong hash"):
        fetch()
    assert list(target.parent.iterdir()) == []


def test_a_wrong_hash_leaves_the_old_file_alone(web: FakeWeb, target: Path, fetch: Fetch) -> None:
    web.put("/file", BODY[::-1])
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(DownloadError, match="wrong hash"):
        fetch()
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("body", [BODY + b"x", BODY[:-1]])
def test_a_wrong_size_is_refused_before_it_is_read(web: FakeWeb, target: Path, fetch: Fetch, body: bytes) -> None:
    web.put("/file", body)
    with pytest.raises(DownloadError, match=f"has {len(body)} bytes where {len(BODY)} were promised"):
        fetch()
    assert not target.exists()
    assert len(web.asked) == 1


def test_more_than_promised_is_refused_when_the_length_is_not_told(web: FakeWeb, target: Path, fetch: Fetch) -> None:
    web.put("/file", BODY + b"x", headers={"Content-Length": ""})
    with pytest.raises(DownloadError, match="more than"):
        fetch()
    assert not target.exists()


def test_a_missing_file_is_not_asked_for_again(web: FakeWeb, fetch: Fetch) -> None:
    with pytest.raises(DownloadError, match="answered 404"):
        fetch()
    assert len(web.asked) == 1


def test_a_busy_server_is_asked_a_bounded_number_of_times(web: FakeWeb, fetch: Fetch) -> None:
    web.put("/file", b"", status=503)
    with pytest.raises(DownloadError, match="answered 503"):
        fetch()
    assert len(web.asked) == 6


def test_nobody_there_is_told(target: Path) -> None:
    waits: list[float] = []
    downloader = Downloader(Web(1), sleep_s=waits.append)
    with pytest.raises(DownloadError, match="broke 6 times"):
        downloader.fetch("http://127.0.0.1:9/file", target, EXPECTED, lambda *_: None)
    assert waits == sorted(waits)
    assert len(waits) == 5


def test_a_stalled_server_times_out(web: FakeWeb, fetch: Fetch) -> None:
    release = threading.Event()
    web.put("/file", BODY, cuts=[100] * 6, stall=release)
    with pytest.raises(DownloadError, match="broke 6 times"):
        fetch(timeout_s=0.05)
    release.set()


def test_a_full_disk_is_told_and_not_retried(
    web: FakeWeb, target: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    web.put("/file", BODY)
    monkeypatch.setattr("voicebot.models.download.os.fsync", full)
    with pytest.raises(DownloadError, match="free some space"):
        fetch()
    assert len(web.asked) == 1
    assert not target.exists()


def test_only_http_is_spoken(target: Path) -> None:
    with pytest.raises(DownloadError, match="no http address"):
        Downloader(Web(1)).fetch("file:///etc/passwd", target, EXPECTED, lambda *_: None)


def test_a_password_is_sent_but_never_shown(web: FakeWeb, target: Path) -> None:
    url = web.url.replace("http://", "http://me:secret@") + "/file?token=secret"
    with pytest.raises(DownloadError) as caught:
        Downloader(Web(1)).fetch(url, target, EXPECTED, lambda *_: None)
    assert "secret" not in str(caught.value)
    assert "secret" not in shown(url)


def test_unreadable_certificates_are_named(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"none\.pem"):
        Web(environ={"PIP_CERT": str(tmp_path / "none.pem")})
