"""Finds a wheel's URL on the package index that pip itself is set to."""

from __future__ import annotations

import html
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

from voicebot.errors import DownloadError
from voicebot.models.catalogue import Wheel
from voicebot.models.web import Web, shown

_ACCEPT: Final = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
_PIP_TIMEOUT_S: Final = 30.0
_PIP_QUESTIONS: Final = (
    ("config", "get", "global.index-url"),
    ("config", "get", "install.index-url"),
    ("download", "--help"),
)


def _ask_pip(arguments: Sequence[str]) -> str:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def index_url(environ: Mapping[str, str] = os.environ, ask_pip: Callable[[Sequence[str]], str] = _ask_pip) -> str:
    """Return the index that pip uses: $PIP_INDEX_URL, else its configuration, else its built-in default."""
    if named := environ.get("PIP_INDEX_URL"):
        return named.rstrip("/")
    for question in _PIP_QUESTIONS:
        if found := re.search(r"https?://[^\s)]+", ask_pip(question)):
            return found[0].rstrip("/")
    raise DownloadError("No package index is known, since pip is not here; set PIP_INDEX_URL to one and pull again.")


class PackageIndex:
    """The simple API of a package index. Its address is looked up when it is first needed."""

    def __init__(self, web: Web, url: str | None = None) -> None:
        self._web = web
        self._url = url

    def wheel_url(self, wheel: Wheel) -> str:
        """Return the URL of the wheel; `DownloadError` when the index lacks it or lists another hash."""
        self._url = self._url or index_url()
        page_url = f"{self._url}/{wheel.project}/"
        try:
            with self._web.get(page_url, {"Accept": _ACCEPT}) as response:
                base, kind, page = response.url, response.headers.get_content_type(), response.read()
        except (OSError, http.client.HTTPException) as error:
            raise DownloadError(
                f"The package index {shown(page_url)} did not answer ({error}); check the network or PIP_INDEX_URL."
            ) from error
        url, sha256 = (_find_in_json if kind.endswith("json") else _find_in_html)(page, wheel.file)
        if not url:
            raise DownloadError(
                f"{shown(page_url)} does not list {wheel.file}; set PIP_INDEX_URL to an index that does."
            )
        if sha256 and sha256 != wheel.sha256:
            raise DownloadError(f"{shown(page_url)} lists another {wheel.file} than the catalogue's; it was refused.")
        return urljoin(base, url)


def _find_in_json(page: bytes, file: str) -> tuple[str, str]:
    try:
        for listed in json.loads(page)["files"]:
            if listed["filename"] == file:
                return listed["url"], listed.get("hashes", {}).get("sha256", "")
    except (ValueError, KeyError, TypeError) as error:
        raise DownloadError(f"The package index sent a broken page ({error}); set PIP_INDEX_URL to another.") from error
    return "", ""


def _find_in_html(page: bytes, file: str) -> tuple[str, str]:
    for found in re.finditer(r"""href\s*=\s*["']([^"']+)["']""", page.decode("utf-8", "replace")):
        url, _, fragment = html.unescape(found[1]).partition("#")
        if unquote(urlsplit(url).path.rpartition("/")[2]) == file:
            return url, fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""
    return "", ""
