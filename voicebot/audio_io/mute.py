"""A microphone that can be switched off: what it hears is dropped before anything else sees it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from voicebot.audio import FRAME_SAMPLES, Frame, silence
from voicebot.audio_io.port import AudioPort


class MutablePort:
    """An AudioPort around another one. While it is muted its frames are silence; the timeline goes on."""

    def __init__(self, port: AudioPort, *, muted: bool = False) -> None:
        self.muted = muted
        self.taken_frames = 0
        """How many frames were taken from it; it counts on for as long as the microphone and the session work."""
        self.tap: Callable[[Frame], None] | None = None
        """Is shown each frame as the session gets it: silent while muted."""
        self.playback = port.playback
        self._port = port

    async def next_frame(self) -> Frame | None:
        """Return the next 20 ms, silent while muted; None when there will be no more."""
        frame = await self._port.next_frame()
        self.taken_frames += 1
        if frame is not None and self.muted:
            frame = Frame(frame.start_sample, silence(FRAME_SAMPLES), frame.gap)
        if frame is not None and self.tap is not None:
            self.tap(frame)
        return frame

    def now_sample(self) -> int:
        """Return the sample of the timeline that is being spoken and played at this moment."""
        return self._port.now_sample()

    @property
    def dropped_frames(self) -> int:
        """Frames that were lost because nobody took them in time."""
        return self._port.dropped_frames

    async def __aenter__(self) -> Self:
        """Open the devices. Raises AudioDeviceError."""
        await self._port.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the devices."""
        await self._port.__aexit__(kind, error, trace)
