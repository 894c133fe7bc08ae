from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from voicebot.errors import DownloadError
from voicebot.models.catalogue import HubSource
from voicebot.models.digest import Digest
from voicebot.models.download import Expected
from voicebot.models.hub import hub_url, published
from voicebot.models.web import Web

if TYPE_CHECKING:
    from tests.models.conftest import FakeWeb

SHA256 = "b" * 64
GIT_BLOB = "c" * 40


def test_the_url_names_repository_revision_and_path() -> None:
    source = HubSource(hub="me/llm", path="sub/m.gguf", revision="v1.0.0")
    assert hub_url(source, "http://hub.example") == "http://hub.example/me/llm/resolve/v1.0.0/sub/m.gguf"
    assert hub_url(source).endswith("/me/llm/resolve/v1.0.0/sub/m.gguf")


def test_a_large_file_is_known_by_the_redirect_to_its_store(web: FakeWeb) -> None:
    web.put_hub("me/llm", "m.gguf", b"body", SHA256)
    assert published(Web(1), f"{web.url}/me/llm/resolve/main/m.gguf") == Expected(4, Digest(SHA256))
    assert len(web.asked) == 1


def test_a_small_file_is_known_by_its_git_blob(web: FakeWeb) -> None:
    web.put("/cache", b"body", headers={"ETag": f'W/"{GIT_BLOB}"'})
    web.put("/file", b"", status=307, headers={"Location": "/cache"})
    assert published(Web(1), f"{web.url}/file") == Expected(4, Digest(GIT_BLOB))


@pytest.mark.parametrize("etag", ["", "no-hash"])
def test_without_a_hash_nothing_is_fetched(web: FakeWeb, etag: str) -> None:
    web.put("/file", b"body", headers={"ETag": etag})
    with pytest.raises(DownloadError, match="no hash from its publisher"):
        published(Web(1), f"{web.url}/file")


def test_a_hub_that_has_it_not(web: FakeWeb) -> None:
    with pytest.raises(DownloadError, match="404"):
        published(Web(1), f"{web.url}/file")


def test_a_ring_of_redirects_ends(web: FakeWeb) -> None:
    web.put("/file", b"", status=302, headers={"Location": "/file"})
    with pytest.raises(DownloadError, match="for ever"):
        published(Web(1), f"{web.url}/file")
