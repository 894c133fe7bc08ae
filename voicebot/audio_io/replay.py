"""A microphone that plays clips and a speaker that plays nowhere, both paced by the clock as devices would be."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Protocol, Self

import numpy as np

from voicebot.audio import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, Frame, Pcm, silence
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.clock import Clock

_NOISE_RMS: Final = 3.3  # -80 dBFS: no real microphone delivers digital silence
_HISS_SAMPLES: Final = FRAME_SAMPLES * 250
_BLOCK: Final = np.arange(FRAME_SAMPLES)


class Echo(Protocol):
    """The way from the loudspeaker to the microphone."""

    def feed(self, reference: Pcm) -> Pcm:
        """Take the next 20 ms that are played, and return what the microphone hears of the speaker meanwhile."""


class ReplayPort:
    """Clips are spoken into it with `say`; between them the microphone hears noise of -80 dBFS.

    `noise` is heard beside that, over and over. With an `echo` the microphone hears what is played as well.

    Frame k is handed over at the end of its 20 ms, and block k of the playback is taken at the start of them, so
    that both lie on the timeline where a full-duplex device would have put them.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        record: bool = False,
        noise_rms: float = _NOISE_RMS,
        noise: Pcm | None = None,
        echo: Echo | None = None,
    ) -> None:
        self.playback = PlaybackBuffer()
        self._clock = clock
        self._record = record
        self._noise = noise
        self._echo = echo
        self._spoken: list[tuple[int, Pcm]] = []
        self._tick = 0
        self._started_s = 0.0
        self._ended = False
        self._user_blocks: list[Pcm] = []
        self._reply_blocks: list[Pcm] = []
        hiss = np.random.default_rng(1).normal(0, noise_rms, _HISS_SAMPLES)
        self._hiss = np.rint(hiss).astype(np.int16)

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
        """Speak a clip into the microphone and return the sample it begins at.

        It begins at that moment, or now if that has passed, whoever else speaks then; without a moment as soon as
        nobody else does.
        """
        start = self._tick * FRAME_SAMPLES
        if at_sample is not None:
            start = max(start, at_sample)
        else:
            start = max([start, *(begin + len(other) for begin, other in self._spoken)])
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
        user = self._room(start)
        heard = user if self._echo is None else _mix(user, self._echo.feed(reply))
        if self._record:
            self._user_blocks.append(user)
            self._reply_blocks.append(reply)
        return Frame(start, heard)

    def recording(self) -> tuple[Pcm, Pcm]:
        """Return what the microphone heard, but for the echo, and all that the speaker played, of equal length."""
        if not self._user_blocks:
            return silence(0), silence(0)
        return np.concatenate(self._user_blocks), np.concatenate(self._reply_blocks)

    def _room(self, start: int) -> Pcm:
        """Return 20 ms of everybody who speaks, and of the noise."""
        block = _looped(self._hiss, start)
        if self._noise is not None:
            block = _mix(block, _looped(self._noise, start))
        for clip_start, pcm in self._spoken:
            begin, end = max(clip_start, start), min(clip_start + len(pcm), start + FRAME_SAMPLES)
            if begin < end:
                spoken = silence(FRAME_SAMPLES)
                spoken[begin - start : end - start] = pcm[begin - clip_start : end - clip_start]
                block = _mix(block, spoken)
        self._spoken = [(begin, pcm) for begin, pcm in self._spoken if begin + len(pcm) > start + FRAME_SAMPLES]
        return block


def _looped(noise: Pcm, start: int) -> Pcm:
    # numpy wraps an index by subtracting the length again and again, which takes milliseconds hours later.
    block: Pcm = noise.take(start % len(noise) + _BLOCK, mode="wrap")
    return block


def _mix(one: Pcm, other: Pcm) -> Pcm:
    mixed: Pcm = np.clip(one.astype(np.int32) + other, -32768, 32767).astype(np.int16)
    return mixed
