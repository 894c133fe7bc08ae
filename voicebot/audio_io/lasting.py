"""The microphone and the speaker of this machine, for a daemon: they may go away and come back.

While a device is away the timeline goes on by the clock, in frames of silence that are marked as gaps, so that the
session, its history and its state live on. What waits to be played is held for a moment, and then given up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Protocol, Self

from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Frame, silence
from voicebot.audio_io.device_thread import in_thread
from voicebot.audio_io.devices import relist_devices
from voicebot.audio_io.local import LocalPort
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.audio_io.port import AudioPort
from voicebot.audio_io.sound_system import SoundSystem, look_at_sound
from voicebot.clock import Clock
from voicebot.errors import AudioDeviceError

_log = logging.getLogger(__name__)
_LOOK_S: Final = 1.0
_LOOK_AWAY_S: Final = 0.5
_FIRST_RETRY_S: Final = 0.5
_LONGEST_RETRY_S: Final = 300.0
"""Each try makes PortAudio look for devices, which keeps 12 KB for good: every 5 minutes, 3 MB a day."""
_HOLD_S: Final = 2.0
"""Who is told half a sentence goes on listening for about as long; the rest of it later is no answer."""


class DevicePort(AudioPort, Protocol):
    """An AudioPort on devices that count what they lose."""

    @property
    def xruns(self) -> int:
        """How often a device itself said that it had lost audio."""


class Devices(Protocol):
    """Two devices that may or may not be there. No call blocks the event loop."""

    microphone: str
    speaker: str

    async def look(self) -> SoundSystem:
        """Return what the system says of its devices, cheaply. Raises nothing."""

    async def relist(self) -> None:
        """Learn which devices there are. Raises AudioDeviceError."""

    def port(self, playback: PlaybackBuffer, begins_at: Callable[[], int]) -> DevicePort:
        """Return a port, not open yet, whose first sample has the number that `begins_at` returns then."""


class LocalDevices:
    """Sound devices that are chosen by name; None is the default one. For the rest see LocalPort."""

    def __init__(self, microphone: str | None, speaker: str | None, *, block_ms: int, lead_ms: int) -> None:
        self.microphone = microphone or "default"
        self.speaker = speaker or "default"
        self._names = (microphone, speaker)
        self._block_ms = block_ms
        self._lead_ms = lead_ms

    async def look(self) -> SoundSystem:
        """Return what the system says of its devices."""
        return await in_thread(look_at_sound, "look-at-sound")

    async def relist(self) -> None:
        """Let PortAudio look for devices anew. Raises AudioDeviceError."""
        await in_thread(relist_devices, "list-audio")

    def port(self, playback: PlaybackBuffer, begins_at: Callable[[], int]) -> LocalPort:
        """Return a port on them."""
        return LocalPort(
            *self._names, block_ms=self._block_ms, lead_ms=self._lead_ms, playback=playback, begins_at=begins_at
        )


class LastingPort:
    """An AudioPort that outlasts its devices. Opening it never fails: what is not there is taken when it comes.

    A try to open follows at once when the system's devices have changed, and then ever more rarely. `give_up` is
    called every 2 s while a device is away and something waits to be played: it is to end the reply, of which then
    was heard what was played.
    """

    def __init__(self, devices: Devices, clock: Clock, give_up: Callable[[], object] = lambda: None) -> None:
        self.playback = PlaybackBuffer()
        self._devices = devices
        self._clock = clock
        self._give_up = give_up
        self._keeper: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._lost = asyncio.Event()
        self._closed = False
        self._port: DevicePort | None = None
        self._reason = ""
        self._since_s = 0.0
        self._outages = 0
        self._dropped_frames = 0
        self._xruns = 0
        self._had_microphone = False
        self._seen: object = None
        self._next_sample = 0
        self._begins_at = 0
        self._left_at = (0, 0.0)
        """The sample and the moment from which the clock carries the timeline on."""
        self._give_up_s = 0.0
        self._latest_sample = 0

    async def __aenter__(self) -> Self:
        """Open the devices if they are there."""
        self._left_at = (0, self._clock.now_s())
        self._go_away()
        self._keeper = asyncio.create_task(self._keep(), name="audio devices")
        self._keeper.add_done_callback(lambda _: self._tried.set())  # what has ended it is raised by `next_frame`
        try:
            await self._tried.wait()
        except asyncio.CancelledError:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the devices."""
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])

    @property
    def dropped_frames(self) -> int:
        """Frames of the microphone that were lost because nobody took them in time."""
        return self._dropped_frames + (self._port.dropped_frames if self._port else 0)

    @property
    def xruns(self) -> int:
        """How often a device itself said that it had lost audio."""
        return self._xruns + (self._port.xruns if self._port else 0)

    def status(self) -> dict[str, Any]:
        """Return how the devices are, as JSON values."""
        return {
            "state": "away" if self._port is None else "working",
            "reason": self._reason,
            "since_s": round(self._clock.now_s() - self._since_s, 1),
            "outages": self._outages,
            "xruns": self.xruns,
            "microphone": self._devices.microphone,
            "speaker": self._devices.speaker,
        }

    def now_sample(self) -> int:
        """Return the sample of the timeline that is being spoken at this moment; it never goes back."""
        sample, at_s = self._left_at
        away = sample + int((self._clock.now_s() - at_s) * SAMPLE_RATE_HZ)
        self._latest_sample = max(self._latest_sample, self._port.now_sample() if self._port else away)
        return self._latest_sample

    async def next_frame(self) -> Frame | None:
        """Return the next 20 ms, a gap of silence while a device is away; None once the port is closed."""
        while not self._closed:
            port, frame = self._port, None
            if port is None or self._next_sample < self._begins_at:
                frame = await self._gap()
            else:
                try:
                    frame = await port.next_frame()
                except AudioDeviceError as error:
                    self._lose(port, str(error))
            # What a device heard while it was still being opened has been told as a gap.
            if frame is not None and frame.start_sample >= self._next_sample:
                self._next_sample = frame.end_sample
                return frame
        return None

    async def _gap(self) -> Frame | None:
        """Return the next 20 ms of silence if they are over; else wait for that, and return None."""
        if self._keeper is not None and self._keeper.done():
            await self._keeper  # it does not end by itself: this raises what has ended it
        end_sample = self._next_sample + FRAME_SAMPLES
        missing_s = (end_sample - self.now_sample()) / SAMPLE_RATE_HZ
        if end_sample > self._begins_at and missing_s > 0:
            await self._clock.sleep_s(missing_s)
            return None
        if self._port is None and self._clock.now_s() >= self._give_up_s:
            self._give_up_s += _HOLD_S
            if self.playback.queued_samples:
                self._give_up()
        return Frame(self._next_sample, silence(FRAME_SAMPLES), gap=True)

    async def _keep(self) -> None:
        """Open the devices, watch over them, and begin again when they are lost."""
        while True:
            port, opened = await self._bring_back()
            try:
                await self._watch(port, opened)
            finally:
                self._lose(port, "The microphone and the speaker are closed.")
                await port.__aexit__(None, None, None)

    async def _bring_back(self) -> tuple[DevicePort, SoundSystem]:
        """Return the open port as soon as there can be one, and what the system was like then."""
        due_s, retry_s, unknown = self._clock.now_s() + _FIRST_RETRY_S, _FIRST_RETRY_S, False
        while True:
            devices, now_s = (await self._devices.look()).devices, self._clock.now_s()
            if devices != self._seen:
                self._seen, due_s, retry_s, unknown = devices, now_s, _FIRST_RETRY_S, True
            if now_s >= due_s:
                try:
                    return await self._open(unknown=unknown)
                except AudioDeviceError as error:
                    self._reason = str(error)
                due_s, retry_s, unknown = now_s + retry_s, min(2 * retry_s, _LONGEST_RETRY_S), True
                if not self._tried.is_set():
                    _log.warning("%s Until there are a microphone and a speaker, nobody is heard.", self._reason)
                    self._tried.set()
            await self._clock.sleep_s(_LOOK_AWAY_S)

    async def _open(self, *, unknown: bool) -> tuple[DevicePort, SoundSystem]:
        """Open the devices; `unknown`: there may be others than there were. Raises AudioDeviceError."""
        if unknown:
            await self._devices.relist()
        port = self._devices.port(self.playback, self._begin)
        await port.__aenter__()
        try:
            opened = await self._devices.look()
            self._refuse_monitor(opened)
        except BaseException:
            await port.__aexit__(None, None, None)
            raise
        if self._tried.is_set():
            _log.info("The microphone and the speaker are there after %.1f s.", self._clock.now_s() - self._since_s)
        self._port, self._reason, self._since_s = port, "", self._clock.now_s()
        self._lost.clear()
        self._tried.set()
        return port, opened

    def _refuse_monitor(self, system: SoundSystem) -> None:
        """Do not take our own voice for a microphone, when the sound server offers no better default.

        Raises AudioDeviceError. Who asks for a monitor has never had anything else.
        """
        hearing = {node for node in system.ours if node[0] == "source"}
        if self._had_microphone and hearing and hearing <= system.monitors:
            raise AudioDeviceError("The sound server has no microphone; attach one.")
        self._had_microphone |= bool(hearing - system.monitors)

    def _begin(self) -> int:
        """Return the number of a new port's first sample; up to it there is a gap."""
        if not self._tried.is_set():
            self._left_at = (0, self._clock.now_s())  # nobody has waited yet
        missing = max(0, self.now_sample() - self._next_sample)
        self._begins_at = self._next_sample + math.ceil(missing / FRAME_SAMPLES) * FRAME_SAMPLES
        return self._begins_at

    async def _watch(self, port: DevicePort, opened: SoundSystem) -> None:
        """Return when the devices are lost; a stream that the server moved to another device is lost as well."""
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._lost.wait()
                return
            gone = (await self._devices.look()).lost_since(opened)
            if gone is not None:
                self._lose(port, f"The {gone[0]} {gone[2]!r} of the sound server is gone; attach it anew.")

    def _lose(self, port: DevicePort, reason: str) -> None:
        """Note that the devices are gone; whoever notices first says why."""
        if port is not self._port:
            return
        self._go_away()
        self._dropped_frames += port.dropped_frames
        self._xruns += port.xruns
        self._lost.set()
        if not self._closed:
            self._reason = reason
            self._outages += 1
            _log.warning("%s Until it is back, nobody is heard.", reason)

    def _go_away(self) -> None:
        self._since_s = now_s = self._clock.now_s()
        self._left_at = (self.now_sample(), now_s)
        self._give_up_s = now_s + _HOLD_S
        self._port = None
