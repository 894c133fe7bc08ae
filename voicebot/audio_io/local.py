"""The microphone and the speaker of this machine, together.

The devices call in threads of their own, where nothing is done but copying: `Exchange`. All else happens in the event
loop's thread. A moment of the timeline is the number of a captured sample. The speaker counts by its own clock, so
where on the timeline its samples are heard is followed from block to block; nothing is resampled for that, since what
is played is taken as fast as the speaker plays it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

import numpy as np
import soxr

from voicebot.audio import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, Frame, Pcm, silence
from voicebot.audio_io.device_thread import in_thread
from voicebot.audio_io.devices import DuplexStream, Exchange, open_duplex
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.errors import AudioDeviceError

_DEAD_AFTER_S: Final = 2.0
_CLOSE_S: Final = 1.0
_LEAST_BACKLOG_MS: Final = 2 * FRAME_MS
_REANCHOR_S: Final = 0.1
_ANCHOR_SHARE: Final = 0.05
_LAG_STEP_S: Final = 0.002  # below it, one block is heard right after the other
_RESAMPLING: Final = "LQ"  # flat to 5 kHz and holds back 20 ms of audio; "HQ" holds back 40 ms


class OpenStream(Protocol):
    """What opens the devices: `open_duplex`, or a fake."""

    def __call__(
        self,
        microphone: str | None,
        speaker: str | None,
        block_ms: int,
        exchange: Exchange,
        finished: Callable[[], None],
    ) -> DuplexStream:
        """Return a running stream. Raises AudioDeviceError."""


class LocalPort:
    """An AudioPort on sound devices that are chosen by name; None is the default one.

    The devices take and give blocks of `block_ms`. With 20 ms, PulseAudio adds 60 ms between the microphone and the
    speaker; with 10 ms it adds 30, costs twice the processor time, and loses audio once the machine is busy.

    `lead_ms` of the playback are queued for the device ahead of time: as much as the event loop may be late, and
    what still plays after a fade. `backlog_ms` of the microphone wait for `next_frame`; of more, the oldest are
    lost, and frames of marked silence stand in for them.

    `playback`: what is to be played, if that is to outlast the port. `begins_at`: asked for the number of the first
    sample once the devices are open.
    """

    def __init__(
        self,
        microphone: str | None = None,
        speaker: str | None = None,
        *,
        block_ms: int = 20,
        lead_ms: int = 40,
        backlog_ms: int = 1000,
        playback: PlaybackBuffer | None = None,
        begins_at: Callable[[], int] = int,
        open_stream: OpenStream = open_duplex,
    ) -> None:
        self.playback = playback or PlaybackBuffer()
        self._names = (microphone, speaker)
        self._block_ms = block_ms
        self._lead_blocks = max(1, lead_ms // block_ms)
        self._begins_at = begins_at
        self._open_stream = open_stream
        self._exchange = Exchange(
            max(backlog_ms, _LEAST_BACKLOG_MS) // block_ms, lambda: self._tell_loop(self._on_block)
        )
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stream: DuplexStream | None = None
        self._ended = False
        self._capture = _Capture(SAMPLE_RATE_HZ, block_ms, 0)
        self._output = _Output(SAMPLE_RATE_HZ, block_ms, 1, 0)
        self._clock = _SampleClock()
        self._late_at_start = 0
        self._opened_s = 0.0

    async def __aenter__(self) -> Self:
        """Open the devices; the timeline begins with the first sample captured. Raises AudioDeviceError."""
        self._loop = asyncio.get_running_loop()
        opening = asyncio.ensure_future(
            in_thread(
                lambda: self._open_stream(*self._names, self._block_ms, self._exchange, self._on_finished),
                "open-audio",
            )
        )
        try:
            stream = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise
        begins_at, round_trip = self._begins_at(), round(sum(stream.latency) * SAMPLE_RATE_HZ)
        self._capture = _Capture(stream.rates_hz[0], self._block_ms, begins_at)
        self._output = _Output(stream.rates_hz[1], self._block_ms, stream.channels[1], begins_at + round_trip)
        self._late_at_start = self._exchange.late_blocks
        self._opened_s = time.monotonic()
        self._stream = stream
        self._on_block()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop both devices at once and let go of them."""
        stream, self._stream = self._stream, None
        self._wake.set()
        if stream is not None:
            # A sound server that hangs would keep the port from saying so: closing goes on without us.
            closing = threading.Thread(target=stream.close, name="close-audio", daemon=True)
            closing.start()
            await asyncio.to_thread(closing.join, _CLOSE_S)

    @property
    def dropped_frames(self) -> int:
        """Frames of the microphone that were lost because nobody took them in time."""
        return self._capture.gap_frames

    @property
    def late_blocks(self) -> int:
        """Blocks of silence that were played because the event loop did not hand over the next one in time."""
        return self._exchange.late_blocks - self._late_at_start

    @property
    def xruns(self) -> int:
        """How often the device itself said that it had lost audio in either direction."""
        return self._exchange.xruns

    async def next_frame(self) -> Frame | None:
        """Return the next 20 ms of the microphone; None once the port is closed.

        Raises AudioDeviceError when the devices are gone, or one of them has stood still for 2 s.
        """
        while self._stream is not None:
            if self._exchange.latest[1] - max(self._exchange.given[1], self._opened_s) > _DEAD_AFTER_S:
                raise AudioDeviceError(
                    f"The speaker has taken nothing for {_DEAD_AFTER_S:.0f} s; attach it anew or choose another."
                )
            frame = self._capture.next_frame(self._exchange.captured)
            if frame is not None:
                return frame
            if self._ended:
                raise AudioDeviceError("The sound device has stopped; see that it is attached and its server runs.")
            self._wake.clear()
            try:
                async with asyncio.timeout(_DEAD_AFTER_S):
                    await self._wake.wait()
            except TimeoutError as error:
                raise AudioDeviceError(
                    f"The microphone has delivered nothing for {_DEAD_AFTER_S:.0f} s; attach it anew or choose another."
                ) from error
        return None

    def now_sample(self) -> int:
        """Return the sample that is being spoken at this moment, smooth between the device's blocks."""
        return self._clock.now_sample(time.monotonic())

    def _tell_loop(self, callback: Callable[[], None]) -> None:
        if self._loop is not None and self._stream is not None:
            self._loop.call_soon_threadsafe(callback)

    def _on_finished(self) -> None:
        self._ended = True
        self._tell_loop(self._wake.set)

    def _on_block(self) -> None:
        """Keep the device's queue filled to the lead, and wake whoever waits for a frame."""
        if self._stream is None:
            return
        (taken, called_s, began_s), (given, _, heard_s) = self._exchange.latest, self._exchange.given
        if taken:
            self._clock.anchor(self._capture.position(taken), called_s)
        if taken and given and heard_s:
            self._output.anchor(self._capture.position(taken - 1) + (heard_s - began_s) * SAMPLE_RATE_HZ, given - 1)
        while len(self._exchange.ready) < self._lead_blocks:
            self._exchange.ready.extend(self._output.pull(self.playback, self._exchange.late_blocks))
        if self._capture.may_make_frame(len(self._exchange.captured)):
            self._wake.set()


class _Capture:
    """Cuts the device's numbered blocks into frames of 16 kHz, and marks what is missing between them."""

    def __init__(self, rate_hz: int, block_ms: int, begins_at: int) -> None:
        self.gap_frames = 0
        self._begins_at = begins_at
        self._rate_hz = rate_hz
        self._block_samples = rate_hz * block_ms // 1000
        self._resample = _resampler(rate_hz, SAMPLE_RATE_HZ)
        self._next_block = 0
        self._waiting = silence(0)
        self._start_sample = begins_at
        self._lost: deque[tuple[int, int]] = deque()

    def position(self, blocks: int) -> int:
        """Return the sample of the timeline at which block number `blocks` begins."""
        return self._begins_at + self._samples(blocks)

    def may_make_frame(self, blocks: int) -> bool:
        """Return whether so many more blocks are enough for a frame."""
        return len(self._waiting) + self._samples(blocks) >= FRAME_SAMPLES

    def next_frame(self, captured: deque[tuple[int, bytes]]) -> Frame | None:
        """Take blocks until they make a frame; None when they do not."""
        while len(self._waiting) < FRAME_SAMPLES:
            if not captured:
                return None
            self._add(*captured.popleft())
        start, end = self._start_sample, self._start_sample + FRAME_SAMPLES
        pcm, self._waiting = self._waiting[:FRAME_SAMPLES], self._waiting[FRAME_SAMPLES:]
        self._start_sample = end
        gap = any(lost_start < end and start < lost_end for lost_start, lost_end in self._lost)
        while self._lost and self._lost[0][1] <= end:
            self._lost.popleft()
        self.gap_frames += gap
        return Frame(start, silence(FRAME_SAMPLES) if gap else pcm, gap)

    def _samples(self, blocks: int) -> int:
        return blocks * self._block_samples * SAMPLE_RATE_HZ // self._rate_hz

    def _add(self, number: int, block: bytes) -> None:
        pcm = np.frombuffer(block, np.int16)
        missing = number - self._next_block
        if missing:
            self._lost.append((self.position(self._next_block), self.position(number)))
            pcm = np.concatenate([silence(missing * self._block_samples), pcm])
        self._next_block = number + 1
        self._waiting = np.concatenate([self._waiting, self._resample(pcm)])


class _Output:
    """Takes audio from the playback as the speaker's blocks, and says where on the timeline it will be heard.

    What the speaker plays is counted from its first block: what was pulled, and the blocks of silence that were
    played because nothing was ready. By how much the timeline is ahead of that count, its lag, is known with each
    block; it moves when the two devices' clocks are not equally fast. Until the first block it is what is stated.
    """

    def __init__(self, rate_hz: int, block_ms: int, channels: int, stated_lag_samples: int) -> None:
        self._rate_hz = rate_hz
        self._block_samples = block_samples = rate_hz * block_ms // 1000
        self._channels = channels
        self._lag_samples = stated_lag_samples
        self._mean_lag = 0.0
        self._anchors = 0
        self._pull_samples = block_samples * SAMPLE_RATE_HZ // rate_hz
        self._resample = _resampler(SAMPLE_RATE_HZ, rate_hz)
        self._pulled_samples = 0
        self._waiting = silence(0)

    def anchor(self, heard_at: float, block: int) -> None:
        """Note that the block of that number, from the first one played, is heard at a sample of the timeline."""
        lag = heard_at - self._samples(block)
        if abs(lag - self._mean_lag) > _REANCHOR_S * SAMPLE_RATE_HZ:
            self._anchors = 0
        self._anchors += 1
        self._mean_lag += max(_ANCHOR_SHARE, 1 / self._anchors) * (lag - self._mean_lag)
        if abs(self._mean_lag - self._lag_samples) > _LAG_STEP_S * SAMPLE_RATE_HZ:
            self._lag_samples = round(self._mean_lag)

    def pull(self, playback: PlaybackBuffer, late_blocks: int) -> list[bytes]:
        """Take one block's time of audio; return the blocks that are complete, ready for the device."""
        heard_from = self._pulled_samples + self._samples(late_blocks) + self._lag_samples
        pcm = playback.pull(heard_from, self._pull_samples)
        self._pulled_samples += self._pull_samples
        self._waiting = np.concatenate([self._waiting, self._resample(pcm)])
        complete = len(self._waiting) // self._block_samples
        blocks = self._waiting[: complete * self._block_samples].reshape(complete, self._block_samples)
        self._waiting = self._waiting[complete * self._block_samples :]
        return [np.repeat(block, self._channels).tobytes() for block in blocks]

    def _samples(self, blocks: int) -> int:
        return blocks * self._block_samples * SAMPLE_RATE_HZ // self._rate_hz


class _SampleClock:
    """The sample of this moment, from blocks that come a little early or late."""

    def __init__(self) -> None:
        self._origin_s: float | None = None
        self._latest_sample = 0

    def anchor(self, captured_samples: int, at_s: float) -> None:
        """Note that so many samples had been captured at a moment of time.monotonic()."""
        origin_s = at_s - captured_samples / SAMPLE_RATE_HZ
        if self._origin_s is None or abs(origin_s - self._origin_s) > _REANCHOR_S:
            self._origin_s = origin_s
        self._origin_s += _ANCHOR_SHARE * (origin_s - self._origin_s)

    def now_sample(self, at_s: float) -> int:
        """Return the sample of a moment; it never goes back."""
        if self._origin_s is not None:
            self._latest_sample = max(self._latest_sample, int((at_s - self._origin_s) * SAMPLE_RATE_HZ))
        return self._latest_sample


def _resampler(from_hz: int, to_hz: int) -> Callable[[Pcm], Pcm]:
    if from_hz == to_hz:
        return lambda pcm: pcm
    resample: Callable[[Pcm], Pcm] = soxr.ResampleStream(
        from_hz, to_hz, 1, dtype="int16", quality=_RESAMPLING
    ).resample_chunk
    return resample


def _close_unwanted(opening: asyncio.Future[DuplexStream]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        threading.Thread(target=opening.result().close, name="close-audio", daemon=True).start()
