"""What is read from the disk, once: the page, the token, the certificate.

No path that anybody asks for is ever looked up on the disk.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from voicebot.config.web import WebSettings, is_loopback
from voicebot.errors import ConfigError
from voicebot.interfaces.web.access import Token, read_token

_log = logging.getLogger(__name__)
_PAGE: Final = Path(__file__).parent / "page"
_KINDS: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page."""

    body: bytes
    kind: str

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Return it. A browser asks each time, so that a new version is seen at once."""
        del request
        headers = {"Cache-Control": "no-cache"}
        return web.Response(body=self.body, content_type=self.kind, charset="utf-8", headers=headers)


@dataclass(frozen=True, slots=True)
class Files:
    """All of them; the page's by path."""

    page: Mapping[str, PageFile]
    token: Token | None
    tls: ssl.SSLContext | None


def read_files(settings: WebSettings) -> Files:
    """Read them. Raises ConfigError."""
    token = read_token(Path(settings.token_file).expanduser()) if settings.token_file else None
    if not (settings.certificate or is_loopback(settings.host)):
        _log.warning("the web page has no certificate: the token and all words can be read on the network")
    return Files(_read_page(), token, _read_certificate(settings) if settings.certificate else None)


def _read_page() -> dict[str, PageFile]:
    files = [file for file in sorted(_PAGE.iterdir()) if file.suffix in _KINDS]
    return {
        "/" if file.name == "index.html" else f"/{file.name}": PageFile(file.read_bytes(), _KINDS[file.suffix])
        for file in files
    }


def _read_certificate(settings: WebSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # A key with a passphrase is refused: nobody is there who could be asked for it.
        context.load_cert_chain(Path(settings.certificate).expanduser(), Path(settings.key).expanduser(), password="")
    except OSError as error:
        raise ConfigError(f"web.certificate and web.key can't be used: {error}") from error
    return context
