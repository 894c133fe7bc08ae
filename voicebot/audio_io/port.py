"""What the pipeline asks of a microphone and a speaker."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from voicebot.audio import Frame
from voicebot.audio_io.playback import PlaybackBuffer


class AudioPort(Protocol):
    """A microphone and a speaker that share one timeline of samples.

    `async with` opens and closes it. A port delivers each frame when its last sample has been spoken, and takes
    from `playback` what it plays; both happen in the event loop's thread.
    """

    playback: PlaybackBuffer

    async def next_frame(self) -> Frame | None:
        """Return the next 20 ms of the microphone; None when there will be no more."""

    def now_sample(self) -> int:
        """Return the sample of the timeline that is being spoken and played at this moment."""

    @property
    def dropped_frames(self) -> int:
        """Frames that were lost because nobody took them in time."""

    async def __aenter__(self) -> Self:
        """Open the devices. Raises AudioDeviceError."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the devices."""
