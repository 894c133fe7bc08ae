"""Where Wyoming clients connect, and the satellites that we connect to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final

from wyoming.error import Error

from voicebot.clock import Clock, LoopClock
from voicebot.config.wyoming import Address, WyomingSettings
from voicebot.engines.registry import load_wake_word
from voicebot.errors import VoicebotError
from voicebot.interfaces.service import Service
from voicebot.interfaces.wyoming.client import Client
from voicebot.interfaces.wyoming.describe import describe
from voicebot.interfaces.wyoming.handle import Conversations
from voicebot.interfaces.wyoming.satellite import Satellite
from voicebot.interfaces.wyoming.wake import MakeWakeWord, WakeWords
from voicebot.interfaces.wyoming.wire import LONGEST_HEADER_BYTES, EventStream, GoneError, ProtocolError

_log = logging.getLogger(__name__)
_LISTEN_AGAIN_S: Final = 5.0


class Wyoming:
    """The protocol's two sides. What the network or a client does ends neither."""

    def __init__(
        self,
        settings: WyomingSettings,
        service: Service,
        clock: Clock | None = None,
        make_wake_word: MakeWakeWord = load_wake_word,
    ) -> None:
        self.listening: Address | None = None
        """Where it listens at this moment."""
        self._settings = settings
        self._service = service
        self._clock = clock or LoopClock()
        self._info = describe(service.pipeline)
        self._conversations = Conversations(service.pipeline.slm.system_prompt, self._clock)
        self._wake_words = WakeWords(make_wake_word)
        self._satellites = [
            Satellite(address, service, settings.ahead_ms, self._clock) for address in settings.addresses
        ]
        self._clients = 0
        self._refused = 0

    async def run(self) -> None:
        """Serve clients and talk to satellites until cancelled."""
        with contextlib.ExitStack() as at_the_end:
            at_the_end.callback(self._wake_words.close)
            at_the_end.callback(self._service.describe("wyoming", self.status))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._conversations.keep(), name="wyoming conversations")
                for satellite in self._satellites:
                    group.create_task(satellite.run(), name=f"satellite {satellite.address}")
                if self._settings.host:
                    await self._listen(group)

    def status(self) -> dict[str, Any]:
        """Return what there is to tell, as JSON values."""
        return {
            "listening": None if self.listening is None else str(self.listening),
            "clients": self._clients,
            "refused_clients": self._refused,
            "conversations": len(self._conversations),
            "satellites": {str(one.address): one.status() for one in self._satellites},
        }

    async def _listen(self, group: asyncio.TaskGroup) -> None:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            group.create_task(self._attend(EventStream(reader, writer)), name="wyoming client")

        wanted, failed = Address(self._settings.host, self._settings.port), False
        while True:
            try:
                server = await asyncio.start_server(accept, wanted.host, wanted.port, limit=LONGEST_HEADER_BYTES)
            except OSError as error:
                if not failed:
                    _log.error("Wyoming can't listen at %s (%s); trying again", wanted, error.strerror)
                failed = True
                await self._clock.sleep_s(_LISTEN_AGAIN_S)
                continue
            try:
                self.listening = Address(wanted.host, server.sockets[0].getsockname()[1])
                _log.info("Wyoming listens at %s", self.listening)
                await server.serve_forever()
            finally:
                self.listening = None
                server.close()

    async def _attend(self, stream: EventStream) -> None:
        self._clients += 1
        try:
            await self._serve(stream)
        except VoicebotError as error:
            _log.info("a Wyoming client was sent away: %s", error)
            _say_why(stream, error)
        except Exception:  # noqa: BLE001 - whatever it is, the others are served
            _log.exception("a Wyoming client could not be served")
        finally:
            self._clients -= 1
            await stream.close()

    async def _serve(self, stream: EventStream) -> None:
        if self._clients > self._settings.most_clients:
            self._refused += 1
            raise ProtocolError("too many clients are connected; try again later.")
        shared = (self._info, self._conversations, self._wake_words, self._clock)
        await Client(stream, self._service, self._settings, *shared).run()


def _say_why(stream: EventStream, error: VoicebotError) -> None:
    with contextlib.suppress(GoneError):
        stream.send(Error(str(error), "bad-request" if isinstance(error, ProtocolError) else "failed"))
