"""A Wyoming satellite: a microphone and a loudspeaker elsewhere, with a conversation of their own.

In this protocol the satellite listens, and the assistant connects. It sends run-satellite, and then audio to be played
and what happens, so that the satellite can show it; the satellite sends run-pipeline and what its microphone hears.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.ping import Ping
from wyoming.pipeline import RunPipeline
from wyoming.satellite import RunSatellite, StreamingStopped
from wyoming.vad import VoiceStarted, VoiceStopped

from voicebot import events
from voicebot.audio import SAMPLE_RATE_HZ, Pcm, ms_from_samples
from voicebot.clock import Clock
from voicebot.config.wyoming import Address
from voicebot.errors import VoicebotError, first_error
from voicebot.interfaces.service import Service
from voicebot.interfaces.wyoming.incoming_audio import IncomingAudio
from voicebot.interfaces.wyoming.satellite_port import SatellitePort
from voicebot.interfaces.wyoming.wire import LONGEST_HEADER_BYTES, EventStream, GoneError, pong
from voicebot.pipeline.session import Session
from voicebot.turn.table import State

_log = logging.getLogger(__name__)
_CONNECT_S: Final = 5.0
_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 30.0
_STEADY_S: Final = 10.0
"""A connection that held for so long was a good one."""
_KEEPALIVE: Final = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
"""A satellite that waits for a wake word sends nothing for hours; one that lost its power is noticed after 25 s."""
_SEND_BUFFER_BYTES: Final = 8192
"""What the kernel takes when the network stands still; the same as 0.2 s of audio, with what it adds to each piece."""
_RESAMPLING: Final = "LQ"  # flat to 5 kHz and holds back 20 ms of audio; "HQ" holds back 40 ms
_AFTER_WAKE_WORD: Final = "asr"
_FORM: Final = {"rate": SAMPLE_RATE_HZ, "width": 2, "channels": 1}


class Satellite:
    """Connects to one satellite for ever, and talks to it while it is there."""

    def __init__(self, address: Address, service: Service, ahead_ms: int, clock: Clock) -> None:
        self.address = address
        self._service = service
        self._ahead_ms = ahead_ms
        self._clock = clock
        self._session: str | None = None
        self._connections = 0

    def status(self) -> dict[str, Any]:
        """Return what there is to tell, as JSON values."""
        return {
            "connected": self._session is not None,
            "session": self._session,
            "connections": self._connections,
        }

    async def run(self) -> None:
        """Hold conversations until cancelled. A satellite that is away is looked for ever more rarely."""
        wait_s, told = _FIRST_WAIT_S, False
        while True:
            began_s = self._clock.now_s()
            why = await self._try()
            if self._clock.now_s() - began_s >= _STEADY_S:
                wait_s, told = _FIRST_WAIT_S, False
            if not told:
                _log.warning("the satellite %s is away (%s); looking for it", self.address, why)
                told = True
            await self._clock.sleep_s(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    async def _try(self) -> str:
        """Talk until the connection ends; return why it did."""
        try:
            async with _connected(self.address) as stream:
                _log.info("the satellite %s is there", self.address)
                self._connections += 1
                await self._talk(stream)
        except TimeoutError:
            return "no answer"
        except OSError as error:
            return error.strerror or str(error)
        except VoicebotError as error:
            return str(error)
        except Exception:  # noqa: BLE001 - whatever it is, the satellite is tried again
            _log.exception("the conversation with the satellite %s has failed", self.address)
            return "an error of ours"
        return "it has closed the connection"

    async def _talk(self, stream: EventStream) -> None:
        """Hold one conversation. Raises VoicebotError for what ended it, if that was not the satellite."""
        try:
            port = SatellitePort(_Loudspeaker(stream), self._clock, self._ahead_ms)
            async with self._service.open_session(f"satellite-{self.address}", port) as session:
                await self._exchange(stream, port, session)
        except* VoicebotError as errors:
            raise first_error(errors) from errors
        finally:
            self._session = None

    async def _exchange(self, stream: EventStream, port: SatellitePort, session: Session) -> None:
        self._session = session.name
        unwatch = self._service.watch(_Display(session.name, stream, port))
        try:
            async with asyncio.TaskGroup() as group:
                pacing = group.create_task(port.pace(), name=f"{session.name} loudspeaker")
                stream.send(RunSatellite())
                await self._listen(stream, port, session)
                pacing.cancel()
        finally:
            unwatch()

    async def _listen(self, stream: EventStream, port: SatellitePort, session: Session) -> None:
        audio = IncomingAudio(_RESAMPLING)
        while (event := await stream.read()) is not None:
            if AudioChunk.is_type(event.type):
                port.hear(audio.feed(event))
            elif RunPipeline.is_type(event.type):
                if event.data.get("start_stage") == _AFTER_WAKE_WORD:
                    self._service.stop(session.name)
                audio = IncomingAudio(_RESAMPLING)
                port.begin()
            elif AudioStop.is_type(event.type) or StreamingStopped.is_type(event.type):
                port.rest()
            elif Ping.is_type(event.type):
                stream.send(pong(event))


class _Loudspeaker:
    """Sends audio on a satellite's connection."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    @property
    def ready(self) -> bool:
        """Whether the network has taken what was sent."""
        return self._stream.unsent_bytes == 0

    def start(self) -> None:
        """Begin a sound."""
        self._stream.send(AudioStart(**_FORM))

    def play(self, pcm: Pcm) -> None:
        """Send audio."""
        self._stream.send(AudioChunk(**_FORM, audio=pcm.tobytes()))

    def rest(self) -> None:
        """End the sound."""
        self._stream.send(AudioStop())


class _Display:
    """An observer that tells a satellite what happens, as Home Assistant does: its lights and sounds follow that."""

    def __init__(self, session: str, stream: EventStream, port: SatellitePort) -> None:
        self._session = session
        self._stream = stream
        self._port = port
        self._text = ""

    def __call__(self, event: events.Event) -> None:
        """Tell an event of this session."""
        if getattr(event, "session", None) == self._session:
            with contextlib.suppress(GoneError):  # whoever reads the connection sees that as well
                self._tell(event)

    def _tell(self, event: events.Event) -> None:
        match event:
            case events.StateChanged(state=State.LISTENING.value):
                self._stream.send(VoiceStarted(self._now_ms()))
            case events.StateChanged(state=State.PENDING.value):
                self._port.prepare()
            case events.Transcribed():
                self._text = event.text
            case events.TurnCommitted() if self._text:
                self._stream.send(VoiceStopped(self._now_ms()), Transcript(self._text))
                self._text = ""
                self._port.rest()  # one with a wake word sends no more until that is said again
            case events.TurnEnded(error=str(error)):
                self._stream.send(Error(error))
            case _:
                pass

    def _now_ms(self) -> int:
        return round(ms_from_samples(self._port.now_sample()))


@asynccontextmanager
async def _connected(address: Address) -> AsyncGenerator[EventStream, None]:
    """Give a connection. Raises OSError or TimeoutError."""
    async with asyncio.timeout(_CONNECT_S):
        reader, writer = await asyncio.open_connection(address.host, address.port, limit=LONGEST_HEADER_BYTES)
    stream = EventStream(reader, writer)
    try:
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        for option, value in _KEEPALIVE.items():
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
        yield stream
    finally:
        await stream.close()
