from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from voicebot.errors import DownloadError
from voicebot.models.catalogue import Wheel
from voicebot.models.package_index import PackageIndex, index_url
from voicebot.models.web import Web

if TYPE_CHECKING:
    from tests.models.conftest import FakeWeb

SHA256 = "a" * 64
WHEEL = Wheel(project="voice", file="voice-1-py3-none-any.whl", size=1, sha256=SHA256)


def wheel_url(web: FakeWeb) -> str:
    return PackageIndex(Web(1), f"{web.url}/simple").wheel_url(WHEEL)


def test_the_environment_names_the_index() -> None:
    assert index_url({"PIP_INDEX_URL": "https://index.example/simple/"}) == "https://index.example/simple"


@pytest.mark.parametrize("setting", ["global.index-url", "install.index-url", "--help"])
def test_else_pip_is_asked(setting: str) -> None:
    def ask_pip(arguments: Sequence[str]) -> str:
        if arguments[-1] != setting:
            return ""
        return (
            "  -i <url>  Base URL (default\n      https://index.example/simple). This should"
            if setting == "--help"
            else ("https://index.example/simple\n")
        )

    assert index_url({}, ask_pip) == "https://index.example/simple"


def test_the_pip_of_this_python_knows_one() -> None:
    assert index_url({}).startswith("http")


def test_without_pip_the_setting_is_named() -> None:
    with pytest.raises(DownloadError, match="PIP_INDEX_URL"):
        index_url({}, lambda _: "")


def test_a_json_page_gives_the_url(web: FakeWeb) -> None:
    wheel = b"wheel"
    web.put_wheel("voice", WHEEL.file, wheel)
    real = WHEEL.model_copy(update={"sha256": web.sha256(wheel)})
    assert PackageIndex(Web(1), f"{web.url}/simple").wheel_url(real) == f"{web.url}/files/{WHEEL.file}"


@pytest.mark.parametrize("fragment", [f"#sha256={SHA256}", "", "#egg=voice"])
def test_an_html_page_gives_the_url(web: FakeWeb, fragment: str) -> None:
    page = f'<a href="other.whl">o</a> <a data-x="1" href="../../files/{WHEEL.file}?a=1&amp;b=2{fragment}">v</a>'
    web.put("/simple/voice/", page.encode(), headers={"Content-Type": "text/html"})
    assert wheel_url(web) == f"{web.url}/files/{WHEEL.file}?a=1&b=2"


def test_another_hash_is_refused(web: FakeWeb) -> None:
    web.put_wheel("voice", WHEEL.file, b"tampered with")
    with pytest.raises(DownloadError, match="refused"):
        wheel_url(web)


def test_a_wheel_that_is_not_listed(web: FakeWeb) -> None:
    web.put_wheel("voice", "voice-2-py3-none-any.whl", b"newer")
    with pytest.raises(DownloadError, match="does not list voice-1"):
        wheel_url(web)


def test_a_project_that_is_not_there(web: FakeWeb) -> None:
    with pytest.raises(DownloadError, match="did not answer"):
        wheel_url(web)


@pytest.mark.parametrize("page", [b"{", b"[]", b'{"files": [{}]}'])
def test_a_broken_page(web: FakeWeb, page: bytes) -> None:
    web.put("/simple/voice/", page, headers={"Content-Type": "application/json"})
    with pytest.raises(DownloadError, match="broken page"):
        wheel_url(web)
