"""What the page, or a script with the token, can ask of the assistant: JSON in, JSON out."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from voicebot.config.section import Section
from voicebot.errors import VoicebotError
from voicebot.events import TurnEnded
from voicebot.interfaces.service import NoSuchSessionError, Service
from voicebot.interfaces.web.body import read_body
from voicebot.interfaces.web.guard import refused

_PATIENCE_S: Final = 120.0
"""A text waits until nobody speaks, and is answered at length."""


class _Mute(Section):
    muted: bool


class _Volume(Section):
    percent: int


class _Stop(Section):
    session: str | None = Field(None, max_length=100)


class _Text(Section):
    text: str
    session: str | None = Field(None, max_length=100)


class Api:
    """The handlers of the paths below /api/. What can't be done is answered with `error`, one sentence."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """Return what is served where."""
        return [
            web.get("/api/status", self._status),
            web.post("/api/mute", self._mute),
            web.post("/api/volume", self._volume),
            web.post("/api/stop", self._stop),
            web.post("/api/say", self._say),
            web.post("/api/ask", self._ask),
        ]

    async def _status(self, request: web.Request) -> web.StreamResponse:
        del request
        return web.json_response(self._service.status())

    async def _mute(self, request: web.Request) -> web.StreamResponse:
        asked = await read_body(request, _Mute)
        self._service.mute(muted=asked.muted)
        return web.json_response({"muted": self._service.muted})

    async def _volume(self, request: web.Request) -> web.StreamResponse:
        asked = await read_body(request, _Volume)
        self._service.set_volume(asked.percent)
        return web.json_response({"volume": self._service.volume})

    async def _stop(self, request: web.Request) -> web.StreamResponse:
        asked = await read_body(request, _Stop)
        return web.json_response({"stopped": self._service.stop(asked.session)})

    async def _say(self, request: web.Request) -> web.StreamResponse:
        asked = await read_body(request, _Text)
        return await _told(self._service.say(asked.text, asked.session))

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        asked = await read_body(request, _Text)
        return await _told(self._service.ask(asked.text, asked.session))


async def _told(turn: Coroutine[Any, Any, TurnEnded]) -> web.StreamResponse:
    """Wait for a turn's end, and return what was said in it."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            ended = dataclasses.asdict(await turn)
    except TimeoutError:
        return refused(HTTPStatus.GATEWAY_TIMEOUT, "nobody has stopped speaking for too long")
    except NoSuchSessionError as error:
        return refused(HTTPStatus.NOT_FOUND, str(error))
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise VoicebotError("the conversation has ended meanwhile.") from None
    kept = ("session", "turn", "user", "reply", "heard", "source", "interrupted", "error")
    return web.json_response({name: ended[name] for name in kept})
