"""A microphone that plays clips and a speaker that plays nowhere, both paced by the clock as devices would be."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Final, Self

import numpy as np

from voicebot.audio import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, Frame, Pcm, silence
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.clock import Clock

_NOISE_RMS: Final = 3.3  # -80 dBFS: no real microphone delivers digital silence
_NOISE_SAMPLES: Final = FRAME_SAMPLES * 250


class ReplayPort:
    """Clips are spoken into it with `say`; between them the microphone hears noise of -80 dBFS.

    Frame k is handed over at the end of its 20 ms, and block k of the playback is taken at the start of them, so
    that both lie on the timeline where a full-duplex device would have put them.
    """

    def __init__(self, clock: Clock, *, record: bool = False, noise_rms: float = _NOISE_RMS) -> None:
        self.playback = PlaybackBuffer()
        self._clock = clock
        self._record = record
        self._spoken: deque[tuple[int, Pcm]] = deque()
        self._tick = 0
        self._started_s = 0.0
        self._ended = False
        self._user_blocks: list[Pcm] = []
        self._reply_blocks: list[Pcm] = []
        noise = np.random.default_rng(1).normal(0, noise_rms, _NOISE_SAMPLES)
        self._noise = np.rint(noise).astype(np.int16)

    async def __aenter__(self) -> Self:
        """Start the timeline."""
        self._started_s = self._clock.now_s()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the microphone's stream."""
        self.end()

    @property
    def dropped_frames(self) -> int:
        """A file loses nothing."""
        return 0

    def now_sample(self) -> int:
        """Return the moment on the timeline."""
        return int((self._clock.now_s() - self._started_s) * SAMPLE_RATE_HZ)

    def say(self, pcm: Pcm, at_sample: int | None = None) -> int:
        """Speak a clip into the microphone, at once or at a moment to come; return the sample it begins at."""
        earliest = self._tick * FRAME_SAMPLES
        if self._spoken:
            earliest = max(earliest, self._spoken[-1][0] + len(self._spoken[-1][1]))
        start = max(earliest, at_sample or 0)
        self._spoken.append((start, pcm))
        return start

    def end(self) -> None:
        """Let the next frame be the last."""
        self._ended = True

    async def next_frame(self) -> Frame | None:
        """Play one block, wait until its 20 ms are over, and return what the microphone heard meanwhile."""
        if self._ended:
            return None
        start = self._tick * FRAME_SAMPLES
        reply = self.playback.pull(start, FRAME_SAMPLES)
        due_s = self._started_s + (self._tick + 1) * FRAME_MS / 1000
        await self._clock.sleep_s(due_s - self._clock.now_s())
        self._tick += 1
        heard = self._microphone(start)
        if self._record:
            self._user_blocks.append(heard)
            self._reply_blocks.append(reply)
        return Frame(start, heard)

    def recording(self) -> tuple[Pcm, Pcm]:
        """Return all that the microphone heard and all that the speaker played, of equal length."""
        if not self._user_blocks:
            return silence(0), silence(0)
        return np.concatenate(self._user_blocks), np.concatenate(self._reply_blocks)

    def _microphone(self, start: int) -> Pcm:
        offset = start % _NOISE_SAMPLES
        block = self._noise[offset : offset + FRAME_SAMPLES]
        if not self._spoken or self._spoken[0][0] >= start + FRAME_SAMPLES:
            return block
        mixed = block.astype(np.int32)
        for clip_start, pcm in self._spoken:
            begin, end = max(clip_start, start), min(clip_start + len(pcm), start + FRAME_SAMPLES)
            if begin < end:
                mixed[begin - start : end - start] += pcm[begin - clip_start : end - clip_start]
        while self._spoken and self._spoken[0][0] + len(self._spoken[0][1]) <= start + FRAME_SAMPLES:
            self._spoken.popleft()
        return np.clip(mixed, -32768, 32767).astype(np.int16)
