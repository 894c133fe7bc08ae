"""The buffer between synthesis and a speaker: plain data, driven by whoever owns the device's clock.

It knows for every sample whether it was played, and when: what was heard follows from that and from nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

import numpy as np

from voicebot.audio import Pcm, first_audible_sample, samples_from_ms, silence

_RAMP_SAMPLES: Final = samples_from_ms(10)
_REMEMBERED_SAMPLES: Final = samples_from_ms(4000)
"""A microphone's frame may wait for 1 s, and echo may be looked for 1 s before it, in 1 s of audio."""


@dataclass(frozen=True, slots=True)
class Played:
    """A stretch of one tag's audio that went to the speaker at `start_sample` of the timeline."""

    tag: Hashable
    start_sample: int
    samples: int
    audible_sample: int | None
    """The first sample above 1 % of full scale, on the timeline; None if the stretch has none."""


class PlaybackBuffer:
    """Tagged audio waiting to be played, in order. Whoever pushes waits for room; nothing here blocks."""

    def __init__(self) -> None:
        self.volume = 1.0
        """How loud everything is, linear; what is ducked or fades is so in proportion."""
        self._volume = 1.0
        self._waiting: deque[tuple[Hashable, Pcm]] = deque()
        self._queued_samples = 0
        self._gain = 1.0
        self._target_gain = 1.0
        self._sounding = False
        self._sounded: deque[tuple[int, Pcm]] = deque()
        self._sounding_until = 0
        self._listeners: list[Callable[[tuple[Played, ...]], None]] = []

    @property
    def queued_samples(self) -> int:
        """How much is waiting to be played."""
        return self._queued_samples

    @property
    def sounding_until(self) -> int:
        """The sample of the timeline after the last one pulled that is not silent; 0 if there was none."""
        return self._sounding_until

    def sounded(self, start_sample: int, end_sample: int) -> Pcm:
        """Return what leaves the speaker in a stretch of the timeline, as far as it was pulled; silence elsewhere.

        It reaches back 4 s before the newest sound, and forward to what was pulled ahead of its time.
        """
        out = silence(end_sample - start_sample)
        for block_start, pcm in self._sounded:
            begin, end = max(start_sample, block_start), min(end_sample, block_start + len(pcm))
            if begin < end:
                out[begin - start_sample : end - start_sample] = pcm[begin - block_start : end - block_start]
        return out

    def subscribe(self, listener: Callable[[tuple[Played, ...]], None]) -> Callable[[], None]:
        """Call `listener` after every pull with what was played, if only silence with (); return how to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def push(self, tag: Hashable, pcm: Pcm) -> None:
        """Append audio."""
        if len(pcm):
            self._waiting.append((tag, pcm))
            self._queued_samples += len(pcm)

    def set_gain(self, gain: float) -> None:
        """Move to a gain, linear, within 10 ms of the next audio played."""
        self._target_gain = gain

    def fade_out(self) -> None:
        """Keep the next 10 ms, fading to silence, and drop the rest; what is pushed after that plays at full gain.

        Where nothing is audible yet there is nothing to fade, and not one sample more is played.
        """
        left = min(_RAMP_SAMPLES, self._queued_samples) if self._sounding else 0
        ramp = np.linspace(self._gain, 0.0, left, dtype=np.float32)
        fading: deque[tuple[Hashable, Pcm]] = deque()
        while left:
            tag, pcm = self._waiting.popleft()
            kept = pcm[:left]
            left -= len(kept)
            fading.append((tag, (kept * ramp[: len(kept)]).astype(np.int16)))
            ramp = ramp[len(kept) :]
        self._waiting = fading
        self._queued_samples = sum(len(pcm) for _, pcm in fading)
        self._gain = self._target_gain = 1.0

    def pull(self, start_sample: int, samples: int) -> Pcm:
        """Take the next `samples` to play, which will be heard from `start_sample` on; silence where none wait."""
        out = silence(samples)
        played: list[Played] = []
        filled = 0
        while self._waiting and filled < samples:
            tag, pcm = self._waiting.popleft()
            taken = pcm[: samples - filled]
            if len(taken) < len(pcm):
                self._waiting.appendleft((tag, pcm[len(taken) :]))
            out[filled : filled + len(taken)] = taken
            played.append(Played(tag, start_sample + filled, len(taken), None))
            filled += len(taken)
        self._queued_samples -= filled
        if filled:
            self._apply_gain(out[:filled])
            played = [self._with_audible(stretch, out, start_sample) for stretch in played]
            self._remember(out[:filled], start_sample)
        self._sounding = filled == samples and first_audible_sample(out[-_RAMP_SAMPLES:]) is not None
        for listener in tuple(self._listeners):
            listener(tuple(played))
        return out

    def _apply_gain(self, out: Pcm) -> None:
        volume = self._volume if self._sounding else self.volume  # in silence there is nothing to move from
        before, after = self._gain * volume, self._target_gain * self.volume
        self._gain, self._volume = self._target_gain, self.volume
        if before == after == 1.0:
            return
        ramp = np.full(len(out), after, np.float32)
        moving = min(len(out), _RAMP_SAMPLES)
        ramp[:moving] = np.linspace(before, after, moving, dtype=np.float32)
        out[:] = (out * ramp).astype(np.int16)

    def _remember(self, pcm: Pcm, start_sample: int) -> None:
        """Keep what sounds; silence needs no keeping, so an idle box does nothing here."""
        loud = np.flatnonzero(pcm)
        if not len(loud):
            return
        self._sounding_until = start_sample + int(loud[-1]) + 1
        self._sounded.append((start_sample, pcm.copy()))
        while self._sounded[0][0] < start_sample - _REMEMBERED_SAMPLES:
            self._sounded.popleft()

    @staticmethod
    def _with_audible(stretch: Played, out: Pcm, start_sample: int) -> Played:
        begin = stretch.start_sample - start_sample
        found = first_audible_sample(out[begin : begin + stretch.samples])
        audible = None if found is None else stretch.start_sample + found
        return Played(stretch.tag, stretch.start_sample, stretch.samples, audible)
