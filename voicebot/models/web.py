"""One way to the network for everything that a pull asks for. Only a tier's endpoint is another."""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from voicebot import __version__
from voicebot.errors import DownloadError

TIMEOUT_S: Final = 30.0
_REDIRECTS: Final = {301, 302, 303, 307, 308}
_HOPS_MAX: Final = 5


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow nothing: the headers of the redirect itself are what is asked for."""


class Web:
    """GET and HEAD over http(s), with the system's proxies and the certificates of $PIP_CERT or $SSL_CERT_FILE."""

    def __init__(self, timeout_s: float = TIMEOUT_S, environ: Mapping[str, str] = os.environ) -> None:
        certificates = environ.get("PIP_CERT") or environ.get("SSL_CERT_FILE") or None
        try:
            tls = ssl.create_default_context(cafile=certificates)
        except OSError as error:
            raise DownloadError(
                f"The certificates in {certificates} can't be read ({error}); mend PIP_CERT or SSL_CERT_FILE."
            ) from error
        https = urllib.request.HTTPSHandler(context=tls)
        self._following = urllib.request.build_opener(https)
        self._standing = urllib.request.build_opener(https, _NoRedirect)
        self._timeout_s = timeout_s

    def get(self, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Open the URL, redirects followed; the errors are those of urllib (`OSError`, `HTTPException`)."""
        try:
            response: http.client.HTTPResponse = self._following.open(
                _request(url, headers, "GET"), timeout=self._timeout_s
            )
        except urllib.error.HTTPError as error:
            error.close()
            raise
        return response

    def head(self, url: str) -> Message:
        """Return the headers of the first answer that is no redirect within the same host."""
        for _ in range(_HOPS_MAX):
            request = _request(url, {"Accept-Encoding": "identity"}, "HEAD")
            try:
                with self._standing.open(request, timeout=self._timeout_s) as response:
                    headers: Message = response.headers
                    return headers
            except urllib.error.HTTPError as error:
                with error:
                    location = error.headers.get("Location", "")
                    if error.code not in _REDIRECTS:
                        raise
                    if urlsplit(location).netloc:
                        return error.headers
                    url = urljoin(url, location)
        raise DownloadError(f"{shown(url)} redirects for ever; try again later.")


def shown(url: str) -> str:
    """Return the URL as it may be printed: without the password that may be in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def _request(url: str, headers: Mapping[str, str], method: str) -> urllib.request.Request:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise DownloadError(f"{shown(url)} is no http address; set PIP_INDEX_URL or HF_ENDPOINT to one that is.")
    credentials, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked above
        urlunsplit(parts._replace(netloc=host)),
        headers={"User-Agent": f"voicebot/{__version__}", **headers},
        method=method,
    )
    if credentials:
        # Not sent on to the host that a redirect leads to.
        token = base64.b64encode(unquote(credentials).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request
