"""Stands before every handler: who does not pass is answered here, and knows nothing of what is behind it."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from voicebot.clock import Watch
from voicebot.config.section import Section
from voicebot.errors import VoicebotError
from voicebot.interfaces.web.access import COOKIE, COOKIE_S, Rates, Token, is_ours, is_same_origin
from voicebot.interfaces.web.body import read_body

_log = logging.getLogger(__name__)
_BEARER: Final = "Bearer "
_HEADERS: Final = {
    # Nothing from elsewhere, no script or style but our files, and no page may show us in a frame.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_REQUESTS_PER_S, _REQUESTS_AT_ONCE = 20.0, 80
_WRONG_TOKENS_PER_S, _WRONG_TOKENS_AT_ONCE = 0.1, 5


class _Login(Section):
    token: str


class Guard:
    """`token`: None where whoever reaches us may ask. `open_paths` are for everybody. `names`: see `is_ours`."""

    def __init__(self, token: Token | None, names: Collection[str], open_paths: Collection[str], watch: Watch) -> None:
        self._token = token
        self._names = names
        self._open_paths = open_paths
        self._requests = Rates(_REQUESTS_PER_S, _REQUESTS_AT_ONCE, watch)
        self._wrong_tokens = Rates(_WRONG_TOKENS_PER_S, _WRONG_TOKENS_AT_ONCE, watch)

    def middleware(self) -> Middleware:
        """Return what the application calls for every request."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                self._check(request)
                return await handler(request)
            except VoicebotError as error:
                return refused(400, str(error))
            except web.HTTPException as error:
                challenge = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
                return refused(error.status, error.reason, challenge)

        return guarded

    async def harden(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add to every answer what keeps a browser from doing more with it than we want."""
        del request
        response.headers.update(_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        """Give a browser the cookie for the token; without a token it needs none."""
        given = await read_body(request, _Login)
        if self._token is not None and not self._knows(request, given.token):
            return refused(401, "that is not the token")
        response = web.json_response({})
        if self._token is not None:
            until_s = int(time.time()) + COOKIE_S
            options = {"httponly": True, "samesite": "Strict", "secure": request.secure, "max_age": COOKIE_S}
            response.set_cookie(COOKIE, self._token.cookie(until_s), **options)  # type: ignore[arg-type]
        return response

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        """Let a browser forget the cookie."""
        del request
        response = web.json_response({})
        response.del_cookie(COOKIE)
        return response

    def _check(self, request: web.Request) -> None:
        address, host = request.remote or "", request.headers.get(hdrs.HOST, "")
        if not self._requests.of(address).take():
            raise web.HTTPTooManyRequests(reason="too many requests; wait a moment")
        if not is_ours(host, self._names):
            raise web.HTTPMisdirectedRequest(reason="this box does not go by that name; add it to web.names")
        if request.path not in self._open_paths and not self._is_known(request):
            raise web.HTTPUnauthorized(reason="the token is needed")
        acts = request.method not in {"GET", "HEAD"} or hdrs.UPGRADE in request.headers
        if acts and not is_same_origin(request.headers.get(hdrs.ORIGIN), host, request.headers.get("Sec-Fetch-Site")):
            raise web.HTTPForbidden(reason="another site's page may not ask for that")
        # A page of another site can't send this type without asking first, and we never say yes.
        if request.method == "POST" and request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(reason="send application/json")

    def _is_known(self, request: web.Request) -> bool:
        if self._token is None or self._token.allows(request.cookies.get(COOKIE, ""), time.time()):
            return True
        given = request.headers.get(hdrs.AUTHORIZATION, "")
        return given.startswith(_BEARER) and self._knows(request, given.removeprefix(_BEARER))

    def _knows(self, request: web.Request, secret: str) -> bool:
        """Return whether that is the token; who has guessed too often is not even heard."""
        address = request.remote or ""
        guesses = self._wrong_tokens.of(address)
        if not guesses.allows():
            raise web.HTTPTooManyRequests(reason="too many wrong tokens; wait a minute")
        if self._token is not None and self._token.is_this(secret):
            return True
        guesses.take()
        _log.warning("a wrong token from %s", address)
        return False


def refused(status: int, reason: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an answer that says why not."""
    return web.json_response({"error": reason}, status=status, headers=headers)
