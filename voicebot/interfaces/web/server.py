"""The HTTP server: what is served where, to whom, and how much of it at once."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from voicebot.clock import Clock, LoopClock
from voicebot.config.web import WebSettings
from voicebot.interfaces.metrics import CONTENT_TYPE, Metrics
from voicebot.interfaces.service import Service
from voicebot.interfaces.web.api import Api
from voicebot.interfaces.web.body import MOST_BYTES
from voicebot.interfaces.web.files import Files, read_files
from voicebot.interfaces.web.guard import Guard, refused
from voicebot.interfaces.web.live import Live
from voicebot.interfaces.web.microphone import Microphones

_log = logging.getLogger(__name__)
_http_log = logging.getLogger(f"{__name__}.http")
# What is no HTTP is answered with 400; whoever sends a lot of it does not fill the log with traces.
_http_log.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))
_MOST_CONNECTIONS: Final = 128
_IDLE_S: Final = 20.0
"""A connection that asks nothing, or does not finish asking, is closed after that."""
_SHUTDOWN_S: Final = 0.5
_AGAIN_S: Final = 5.0


class Web:
    """Serves the page, its WebSockets and the metrics. What the network does never ends `run`."""

    def __init__(self, settings: WebSettings, service: Service, clock: Clock | None = None) -> None:
        self._settings = settings
        self._service = service
        self._clock = clock or LoopClock()
        self._live = Live(service, self._clock)
        self._microphones = Microphones(service, self._clock)
        self._metrics = Metrics(service.status) if settings.metrics else None
        self.address: tuple[str, int] | None = None
        """Where it listens, the IP address and the port; None before that."""

    def status(self) -> Mapping[str, Any]:
        """Return what there is to tell of it."""
        return {
            "address": None if self.address is None else list(self.address),
            "pages": self._live.pages,
            "microphones": self._microphones.open,
            "queued": self._live.queued,
        }

    async def run(self) -> None:
        """Serve until cancelled. Raises ConfigError for files that can't be used."""
        files = await asyncio.to_thread(read_files, self._settings)
        application = self._application(files)
        unwatch = [self._service.watch(self._live.observe), self._service.describe("web", self.status)]
        if self._metrics is not None:
            unwatch.append(self._service.watch(self._metrics))
        runner = web.AppRunner(
            application,
            logger=_http_log,
            access_log=None,
            keepalive_timeout=_IDLE_S,
            shutdown_timeout=_SHUTDOWN_S,
            handle_signals=False,
        )
        try:
            await runner.setup()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._live.run(), name="web status")
                await self._listen(_at_most(runner.server), files.tls)
        finally:
            for stop in unwatch:
                stop()
            await runner.cleanup()

    async def _listen(self, connected: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None) -> None:
        loop, settings, said = asyncio.get_running_loop(), self._settings, ""
        while True:
            try:
                listening = await loop.create_server(connected, settings.host, settings.port, ssl=tls)
            except OSError as error:
                # The port may be taken, or the address not be there yet: both may change.
                if str(error) != said:
                    said = str(error)
                    _log.warning("the web page waits for %s port %d: %s", settings.host, settings.port, said)
                await self._clock.sleep_s(_AGAIN_S)
                continue
            host, port = listening.sockets[0].getsockname()[:2]
            self.address = host, port
            _log.info("the web page is at %s://%s:%d", "http" if tls is None else "https", host, port)
            try:
                await asyncio.Event().wait()
            finally:
                listening.close()
                self.address = None

    def _application(self, files: Files) -> web.Application:
        open_paths = {*files.page, "/healthz", "/api/login"}
        guard = Guard(files.token, self._settings.names, open_paths, self._clock)
        application = web.Application(client_max_size=MOST_BYTES, middlewares=[guard.middleware()])
        application.on_response_prepare.append(guard.harden)
        application.on_shutdown.append(self._close)
        for path, file in files.page.items():
            application.router.add_get(path, file.serve)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_post("/api/login", guard.log_in)
        application.router.add_post("/api/logout", guard.log_out)
        application.router.add_get("/api/live", self._live.serve)
        application.router.add_get("/api/microphone", self._microphones.serve)
        application.router.add_routes(Api(self._service).routes())
        if (metrics := self._metrics) is not None:

            async def serve_metrics(request: web.Request) -> web.StreamResponse:
                del request
                text = await asyncio.to_thread(metrics.collect())
                return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

            application.router.add_get("/metrics", serve_metrics)
        return application

    async def _close(self, application: web.Application) -> None:
        del application
        await asyncio.gather(self._live.close(), self._microphones.close())

    async def _healthz(self, request: web.Request) -> web.StreamResponse:
        """Tell everybody whether it works, and nothing else."""
        del request
        workers = self._service.status()["workers"].values()
        if any(worker["state"] != "ready" for worker in workers):
            return refused(503, "a worker is not ready")
        return web.json_response({"status": "ok"})


def _at_most(server: web.Server | None) -> Callable[[], asyncio.Protocol]:
    """Return what answers a new connection: the server, or nobody while there are as many as it may have."""

    def connected() -> asyncio.Protocol:
        return server() if server is not None and len(server.connections) < _MOST_CONNECTIONS else _Refusing()

    return connected


class _Refusing(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
