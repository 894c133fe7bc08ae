"""A satellite's microphone and loudspeaker as the pipeline knows them.

What is played leaves for the satellite no sooner than `ahead_ms` before its time. Nothing that was sent can be taken
back, and the satellite plays all of it; so what was heard of a reply is known to that precision, however late it is.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final, Protocol, Self

from voicebot.audio import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, Frame, Pcm, samples_from_ms
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.clock import Clock
from voicebot.interfaces.wyoming.mic_timeline import MicTimeline
from voicebot.interfaces.wyoming.wire import ProtocolError

_MOST_AT_ONCE_S: Final = 60.0
"""All that a network may have held back, and less than keeps the assistant busy."""
_SOUND_ENDS_SAMPLES: Final = samples_from_ms(500)
"""A reply that goes on after less, as it does after a cough, is the same sound for the satellite."""
_PREPARED_SAMPLES: Final = samples_from_ms(3000)


class Loudspeaker(Protocol):
    """The way to the satellite's loudspeaker. Nothing here waits."""

    @property
    def ready(self) -> bool:
        """Whether what was sent before is on its way: else nothing more is sent, or it would be late."""

    def start(self) -> None:
        """Say that audio is about to come."""

    def play(self, pcm: Pcm) -> None:
        """Send audio that is to be played at once, or after what was sent before."""

    def rest(self) -> None:
        """Say that nothing more will come for now."""


class SatellitePort:
    """An AudioPort. `pace` has to run while it is open; who reads the satellite's audio calls `hear`."""

    def __init__(self, loudspeaker: Loudspeaker, clock: Clock, ahead_ms: int) -> None:
        self.playback = PlaybackBuffer()
        self._loudspeaker = loudspeaker
        self._clock = clock
        self._ahead_s = ahead_ms / 1000
        self._timeline = MicTimeline(clock.now_s())
        self._changed = asyncio.Event()
        self._ended = False
        self._sent_until = 0
        self._sounds_until_s = clock.now_s()
        self._started = False
        self._rests_at = 0
        self._spare_s = _MOST_AT_ONCE_S
        self._heard_s = clock.now_s()

    async def __aenter__(self) -> Self:
        """Start the timeline."""
        self._heard_s = self._clock.now_s()
        self._timeline = MicTimeline(self._heard_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the microphone's stream."""
        self.end()

    @property
    def dropped_frames(self) -> int:
        """Frames that were lost, on the way or because nobody took them."""
        return self._timeline.gap_frames

    def now_sample(self) -> int:
        """Return the sample that is being spoken at this moment, as far as the network lets one know."""
        return self._timeline.now_sample(self._clock.now_s())

    async def next_frame(self) -> Frame | None:
        """Return the next 20 ms of the microphone; None when there will be no more."""
        while not self._ended:
            frame = self._timeline.take()
            if frame is not None:
                return frame
            self._changed.clear()
            await self._changed.wait()
        return None

    def begin(self) -> None:
        """Note that the satellite begins to send what its microphone hears."""
        self._timeline.begin()

    def rest(self) -> None:
        """Note that it may have ended to do so."""
        self._timeline.rest()

    def hear(self, pcm: Pcm) -> None:
        """Add what its microphone heard. Raises ProtocolError when that comes faster than it can be spoken."""
        now_s = self._clock.now_s()
        self._spare_s = min(_MOST_AT_ONCE_S, self._spare_s + now_s - self._heard_s) - len(pcm) / SAMPLE_RATE_HZ
        self._heard_s = now_s
        if self._spare_s < 0:
            raise ProtocolError("audio comes faster than it can be spoken.")
        self._timeline.hear(pcm, now_s)
        self._look()

    def prepare(self) -> None:
        """Let the satellite get ready for a reply that is likely to come: most start a program to play it."""
        self._start(self.now_sample() + _PREPARED_SAMPLES)

    def end(self) -> None:
        """Let there be no more frames."""
        self._ended = True
        self._changed.set()

    async def pace(self) -> None:
        """Send what is played in time, and keep the time going where the satellite sends nothing. Runs until cancelled.

        Raises what the loudspeaker raises.
        """
        due_s = self._clock.now_s()
        while True:
            now_s = self._clock.now_s()
            self._timeline.fill(now_s)
            self._look()
            self._play(now_s)
            due_s = max(due_s + FRAME_MS / 1000, now_s)  # after a late tick the next one is not hurried
            await self._clock.sleep_s(due_s - self._clock.now_s())

    def _look(self) -> None:
        if self._timeline.ready:
            self._changed.set()

    def _play(self, now_s: float) -> None:
        now = self._timeline.now_sample(now_s)
        if self.playback.queued_samples == 0:
            self.playback.pull(max(now, self._sent_until), FRAME_SAMPLES)  # silence needs no sending
            if self._started and now >= self._rests_at:
                self._started = False
                self._loudspeaker.rest()
        # By our own clock: that of the microphone leaps when the network gets faster.
        self._sounds_until_s = max(now_s, self._sounds_until_s)
        while self.playback.queued_samples > 0 and self._has_room(now_s) and self._loudspeaker.ready:
            start = max(self._sent_until, now + round((self._sounds_until_s - now_s) * SAMPLE_RATE_HZ))
            self._start(start + FRAME_SAMPLES + _SOUND_ENDS_SAMPLES)
            self._loudspeaker.play(self.playback.pull(start, FRAME_SAMPLES))
            self._sent_until = start + FRAME_SAMPLES
            self._sounds_until_s += FRAME_MS / 1000

    def _has_room(self, now_s: float) -> bool:
        """Return whether the satellite may get another frame."""
        return self._sounds_until_s + FRAME_MS / 1000 <= now_s + self._ahead_s

    def _start(self, rests_at: int) -> None:
        if not self._started:
            self._started = True
            self._loudspeaker.start()
        self._rests_at = rests_at
