"""A conversation through a browser's microphone and speaker, over a WebSocket.

The browser sends 20 ms of its microphone at a time, numbered, and says with each how much of what it was sent has been
played by then. Both run by the same clock there, so it is known of every sample that we send where on the microphone's
timeline it is heard. What we send is paced by our own clock, a little ahead; silence is sent as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

import numpy as np
from aiohttp import WSMsgType, web

from voicebot.audio import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, Frame, Pcm, samples_from_ms, silence
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.clock import Clock
from voicebot.errors import VoicebotError
from voicebot.interfaces.rate import Rate
from voicebot.interfaces.service import Service, TooManySessionsError
from voicebot.interfaces.web.guard import refused
from voicebot.interfaces.web.sockets import Close, close, close_all

_HEAD: Final = struct.Struct("<II")
"""Number of the frame, samples played when it began; both wrap around."""
FRAME_BYTES: Final = _HEAD.size + 2 * FRAME_SAMPLES
_WRAP: Final = 1 << 32
_LEAD_MS: Final = 60
"""How far ahead we send: the browser's own reserve against a network that is late now and then."""
_MOST_WAITING: Final = 1000 // FRAME_MS
_FRAMES_PER_S, _FRAMES_AT_ONCE = 1.02 * 1000 / FRAME_MS, 5000 // FRAME_MS
"""Who sends faster is no microphone; its clock may be another one, and a network that was late hands over a lot."""
_SILENT_S: Final = 5.0
_STALL_S: Final = 0.25
_CREEP: Final = 0.0005
"""By what share of a delay the clock follows it with each frame: drifting apart, clocks do less."""
_HEARTBEAT_S: Final = 10.0
_SEND_BUFFER_BYTES: Final = 4096

Send = Callable[[bytes], Awaitable[None]]


class ProtocolError(VoicebotError):
    """What the browser sent makes no sense."""


class BrowserPort:
    """An AudioPort over messages: `take` those of the browser, and `play` sends it what it has to play.

    Frames that did not come are marked silence. Of frames that nobody takes in time the oldest are lost.
    """

    def __init__(self, clock: Clock) -> None:
        self.playback = PlaybackBuffer()
        self._clock = clock
        self._arrived = asyncio.Event()
        self._waiting: deque[tuple[int, Pcm]] = deque(maxlen=_MOST_WAITING)
        self._newest = -1
        self._next = 0
        self._gaps = 0
        self._ended = False
        self._pace = Rate(_FRAMES_PER_S, clock, _FRAMES_AT_ONCE)
        self._origin_s: float | None = None
        self._now_sample = 0
        self._sent_samples = 0
        self._delay_samples = samples_from_ms(2 * _LEAD_MS)
        """From a sample's place in what we send to where on the timeline it is heard."""

    async def __aenter__(self) -> Self:
        """Begin; the timeline begins with the first frame."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the next frame be the last."""
        self.end()

    @property
    def dropped_frames(self) -> int:
        """Frames that were lost, here or on their way."""
        return self._gaps

    def now_sample(self) -> int:
        """Return the sample that is being spoken at this moment, as far as can be known; it never goes back."""
        if self._origin_s is not None:
            now = int((self._clock.now_s() - self._origin_s) * SAMPLE_RATE_HZ)
            self._now_sample = max(self._now_sample, now)
        return self._now_sample

    def end(self) -> None:
        """Let the next frame be the last."""
        self._ended = True
        self._arrived.set()

    def take(self, message: bytes) -> None:
        """Take a message of the browser's. Raises ProtocolError."""
        if len(message) != FRAME_BYTES:
            raise ProtocolError(f"a frame has {FRAME_BYTES} bytes, not {len(message)}.")
        number, played = _HEAD.unpack_from(message)
        further = (number - self._newest) % _WRAP
        if not further or not self._pace.take(further):
            raise ProtocolError("the frames are not in order, or come faster than they can have been spoken.")
        self._newest += further
        self._anchor(self._clock.now_s())
        behind = (self._sent_samples - played) % _WRAP
        if behind <= self._sent_samples:
            self._delay_samples = max(0, self._newest * FRAME_SAMPLES - (self._sent_samples - behind))
        self._waiting.append((self._newest, np.frombuffer(message, "<i2", offset=_HEAD.size).astype(np.int16)))
        self._arrived.set()

    async def next_frame(self) -> Frame | None:
        """Return the next 20 ms; None when the browser has left."""
        while not self._ended:
            if self._waiting:
                return self._frame()
            self._arrived.clear()
            await self._arrived.wait()
        return None

    async def play(self, send: Send) -> None:
        """Send what is to be played, 20 ms at a time, until cancelled."""
        due_s = self._clock.now_s() - _LEAD_MS / 1000
        while True:
            await self._clock.sleep_s(due_s - self._clock.now_s())
            # What could not be sent in time is not made up for: it would all be heard later.
            due_s = max(due_s + FRAME_MS / 1000, self._clock.now_s() - _LEAD_MS / 1000)
            pcm = self.playback.pull(self._sent_samples + self._delay_samples, FRAME_SAMPLES)
            self._sent_samples += FRAME_SAMPLES
            await send(pcm.astype("<i2").tobytes())

    def _frame(self) -> Frame:
        number, pcm = self._waiting[0]
        start, gap = self._next * FRAME_SAMPLES, number > self._next
        if gap:
            pcm = silence(FRAME_SAMPLES)
            self._gaps += 1
        else:
            self._waiting.popleft()
        self._next += 1
        self._now_sample = max(self._now_sample, start + FRAME_SAMPLES)
        return Frame(start, pcm, gap)

    def _anchor(self, now_s: float) -> None:
        """Note that the newest frame has just been spoken. It may have come late, and never early."""
        origin_s = now_s - (self._newest + 1) * FRAME_MS / 1000
        late_s = 0.0 if self._origin_s is None else origin_s - self._origin_s
        if self._origin_s is None or not 0 < late_s < _STALL_S:
            self._origin_s = origin_s
        else:
            self._origin_s += _CREEP * late_s


class Microphones:
    """Serves them. Each is a session of its own, as many as the box takes."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._open: dict[web.WebSocketResponse, asyncio.Transport | None] = {}

    @property
    def open(self) -> int:
        """How many browsers are talked to."""
        return len(self._open)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Be the WebSocket of one browser for as long as it talks."""
        socket = web.WebSocketResponse(
            max_msg_size=FRAME_BYTES + 1,  # the library refuses what is as long
            heartbeat=_HEARTBEAT_S,
            receive_timeout=_SILENT_S,
            writer_limit=_SEND_BUFFER_BYTES,
            compress=False,
        )
        if not socket.can_prepare(request):
            return refused(400, "this is a WebSocket")
        port = BrowserPort(self._clock)
        try:
            async with self._service.open_session("browser", port) as session:
                await socket.prepare(request)
                if request.transport is not None:
                    request.transport.set_write_buffer_limits(_SEND_BUFFER_BYTES)
                self._open[socket] = request.transport
                await socket.send_json({"session": session.name, "frame_samples": FRAME_SAMPLES})
                await self._converse(socket, request.transport, port)
        except TooManySessionsError as error:
            return refused(503, str(error))
        finally:
            self._open.pop(socket, None)
        return socket

    async def close(self) -> None:
        """Let all of them go."""
        await close_all(tuple(self._open.items()))

    async def _converse(
        self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, port: BrowserPort
    ) -> None:
        playing = asyncio.create_task(_play(socket, port), name="browser speaker")
        try:
            async for message in socket:
                if message.type is not WSMsgType.BINARY:
                    await close(socket, transport, Close.UNSUPPORTED, "send frames of audio")
                    return
                port.take(message.data)
        except ProtocolError as error:
            await close(socket, transport, Close.POLICY, str(error))
        except TimeoutError:
            await close(socket, transport, Close.POLICY, "nothing was heard of the microphone")
        finally:
            port.end()
            playing.cancel()
            await asyncio.wait([playing])


async def _play(socket: web.WebSocketResponse, port: BrowserPort) -> None:
    with contextlib.suppress(ConnectionError):
        await port.play(socket.send_bytes)
