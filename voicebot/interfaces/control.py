"""The control socket: one JSON object a line each way, for the daemon's user and group.

docs/interfaces.md has the requests and their answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any, Final

from voicebot.clock import LoopClock
from voicebot.config.control import ControlSettings
from voicebot.errors import VoicebotError
from voicebot.events import Event
from voicebot.interfaces.control_answers import Answer, Reload, answer, done, failed
from voicebot.interfaces.control_requests import LONGEST_LINE, EventsRequest, PromptRequest, Request, parse_request
from voicebot.interfaces.event_json import event_json, json_line
from voicebot.interfaces.rate import Rate
from voicebot.interfaces.service import Service
from voicebot.interfaces.unix_socket import Listener, listen, peer_of

_log = logging.getLogger(__name__)
_MOST_EVENTS: Final = 256
"""That wait for one reader; a turn has some thirty."""
_WRITE_S: Final = 5.0
"""Who does not take an answer by then is dropped."""


class _CutOffError(VoicebotError):
    """The client is told why, and disconnected."""


class ControlSocket:
    """Serves until it is cancelled. Where there can't be a socket, that is logged, and the daemon goes on without."""

    def __init__(
        self,
        settings: ControlSettings,
        service: Service,
        path: Path,
        reload: Reload,
        listening: asyncio.Event | None = None,
    ) -> None:
        """Set `listening` once it can be reached, and clear it at the end."""
        self.listening = listening or asyncio.Event()
        self._settings = settings
        self._service = service
        self._path = path
        self._reload = reload
        self._clients: set[asyncio.Task[None]] = set()
        self._watching = 0
        self._slow_readers = 0

    async def run(self) -> None:
        """Serve. Raises AlreadyRunningError when another daemon does at the same place."""
        try:
            listener = await asyncio.to_thread(listen, self._path)
        except OSError as error:
            _log.warning("there is no control socket at %s (%s)", self._path, error.strerror or error)
            return
        undescribe = self._service.describe("control", self._status)
        try:
            await self._serve(listener)
        finally:
            undescribe()
            await asyncio.to_thread(listener.close)

    async def _serve(self, listener: Listener) -> None:
        async with asyncio.TaskGroup() as self._group:
            server = await asyncio.start_unix_server(self._welcome, sock=listener.socket, limit=LONGEST_LINE)
            self.listening.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.listening.clear()
                server.close()

    def _status(self) -> dict[str, int]:
        return {"clients": len(self._clients), "watching": self._watching, "slow_readers": self._slow_readers}

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.listening.is_set():  # the connection was on its way when this ended
            writer.transport.abort()
        elif len(self._clients) >= self._settings.most_clients:
            writer.write(json_line(failed(VoicebotError("too many programs are connected; try again later."))))
            writer.close()
        else:
            client = self._group.create_task(self._attend(reader, writer), name="control client")
            self._clients.add(client)
            client.add_done_callback(self._clients.discard)

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client to the end; whatever it does harms nobody else."""
        try:
            await self._converse(reader, writer, peer_of(writer.get_extra_info("socket")))
            writer.close()
            async with asyncio.timeout(_WRITE_S):
                await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            _log.debug("a control client is gone (%r)", error)
        except Exception:  # noqa: BLE001 - whatever it is, the daemon goes on
            _log.exception("the control socket failed at a client")
        finally:
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        rate = Rate(self._settings.requests_per_s, LoopClock())
        while True:
            try:
                line = await self._next_line(reader, rate)
                if not line:
                    return
                request = parse_request(line)
            except VoicebotError as error:
                await _write(writer, failed(error))
                if isinstance(error, _CutOffError):
                    return
                continue
            if request.changes:
                _log.info("%s asks for %s", peer, request.request)
            if not await self._carry_out(request, reader, writer):
                return

    async def _next_line(self, reader: asyncio.StreamReader, rate: Rate) -> bytes:
        try:
            async with asyncio.timeout(self._settings.idle_s):
                line = await reader.readline()
        except ValueError as error:
            raise _CutOffError(f"the line is longer than {LONGEST_LINE} bytes.") from error
        if line and not rate.take():
            raise _CutOffError("these were too many requests in a second.")
        return line

    async def _carry_out(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Do it and answer; return whether the client is still there. One that leaves gives up what it waits for."""
        if isinstance(request, EventsRequest):
            streaming = self._group.create_task(self._stream(writer), name="control events")
            return await self._is_there_until(streaming, reader)
        work = self._group.create_task(answer(request, self._service, self._reload), name=f"control {request.request}")
        await asyncio.wait({work}, timeout=0)  # most are done in one step
        there = True
        if not work.done():
            if isinstance(request, PromptRequest) and not request.wait:
                await _write(writer, done({"turn": None}))
                return True
            there = await self._is_there_until(work, reader)
        if not work.cancelled():
            await _write(writer, work.result())
        elif there:
            await _write(writer, failed(VoicebotError("the conversation ended before that was spoken.")))
        return there

    async def _is_there_until(self, work: asyncio.Task[Any], reader: asyncio.StreamReader) -> bool:
        """Wait until it is done or the client leaves, which ends it; return whether the client is still there.

        To send something before the answer is there counts as leaving.
        """
        leaving = self._group.create_task(_anything(reader), name="control client leaves")
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return not leaving.done()
        finally:
            work.cancel()
            leaving.cancel()
            await asyncio.wait({work, leaving})

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        """Write every event until the reader is gone, or too slow."""
        events: asyncio.Queue[Event] = asyncio.Queue(_MOST_EVENTS)

        def tell(event: Event) -> None:
            if not events.full():
                events.put_nowait(event)
            elif not writer.transport.is_closing():
                self._slow_readers += 1
                _log.info("a reader of events was too slow, and is dropped")
                writer.transport.abort()

        unwatch = self._service.watch(tell)
        self._watching += 1
        try:
            writer.write(json_line(done({})))
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(json_line(event_json(await events.get())))
                    await writer.drain()
        finally:
            self._watching -= 1
            unwatch()


async def _write(writer: asyncio.StreamWriter, line: Answer) -> None:
    """Write it. Raises ConnectionError or TimeoutError when nobody takes it."""
    writer.write(json_line(line))
    async with asyncio.timeout(_WRITE_S):
        await writer.drain()


async def _anything(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        await reader.read(1)
