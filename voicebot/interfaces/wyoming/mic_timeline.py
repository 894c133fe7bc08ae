"""Where the audio of a satellite belongs on the timeline of its session.

The satellite's own samples are the timeline, as those of a sound card would be: its loudspeaker has the same clock.
But they come over a network, late and in bursts; or not at all, while the satellite waits for a voice or a wake word.
So what is missing for too long is replaced by silence, and the time never stands still.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Frame, Pcm, samples_from_ms, silence

_LATE_S: Final = 3.0
"""A satellite that streams is waited for so long: words that come late are better than words that are lost."""
_RESTING_LATE_S: Final = 0.2
_GONE_S: Final = 6.0
"""After so long without audio it does not stream any more, and the silence is no loss."""
_LAG_SAMPLES: Final = samples_from_ms(200)
"""How far behind the time silence is put: a chunk and its way take some of that."""
_MOST_FILLED_SAMPLES: Final = samples_from_ms(1000)
"""At once. If the machine has slept the timeline has as well."""
_LATE_COPIES_S: Final = 1.0
_JITTER_SAMPLES: Final = samples_from_ms(100)
_DRIFT: Final = 1e-3
"""How fast the satellite's clock may be found to be slower than ours; crystals differ by a tenth of that."""
_BACKLOG_FRAMES: Final = 250
"""5 s: satellites that wait for a voice send what they heard before it at once."""


class MicTimeline:
    """Takes audio with the moment at which it came, and gives frames. Moments are seconds of one clock."""

    def __init__(self, now_s: float) -> None:
        self.gap_frames = 0
        """Frames of silence that stood for what was lost."""
        self._origin_s = now_s
        self._latest_sample = 0
        self._frames: deque[tuple[Pcm, bool]] = deque()
        self._overrun_frames = 0
        self._next_out = 0
        self._rest = silence(0)
        self._rest_gap = False
        self._end = 0
        self._begun = True
        self._streaming = False
        self._heard_s = now_s
        self._resumed_s = now_s
        self._filled_samples = 0
        """Silence that stands for audio which may still come, and is too late then."""

    @property
    def ready(self) -> bool:
        """Whether there is a frame to be taken."""
        return bool(self._frames)

    def now_sample(self, at_s: float) -> int:
        """Return the sample that is being spoken; it never goes back."""
        self._latest_sample = max(self._latest_sample, round((at_s - self._origin_s) * SAMPLE_RATE_HZ))
        return self._latest_sample

    def begin(self) -> None:
        """Take what comes next for a new stream, all of which is to be heard, also what was said before this moment."""
        self._begun = True

    def rest(self) -> None:
        """Expect no audio for now. That which comes all the same is heard."""
        self._streaming = False

    def hear(self, pcm: Pcm, at_s: float) -> None:
        """Add audio that came at that moment."""
        early = self._end + len(pcm) - round((at_s - self._origin_s) * SAMPLE_RATE_HZ)
        if self._begun:
            self._filled_samples = 0
        elif self._filled_samples and at_s - self._heard_s >= _RESTING_LATE_S:
            self._resumed_s = at_s
            self._fill(-early)
        elif self._filled_samples:
            pcm = self._without_late_copies(pcm, early, at_s)
        self._append(pcm, gap=False)
        seen_s = at_s - self._end / SAMPLE_RATE_HZ
        if self._begun:
            self._origin_s = seen_s
        elif not self._filled_samples:
            # What comes late says nothing of the clock; what comes early says that all before it was late.
            self._origin_s = min(seen_s, self._origin_s + _DRIFT * len(pcm) / SAMPLE_RATE_HZ)
        self._begun, self._streaming, self._heard_s = False, True, at_s

    def fill(self, at_s: float) -> None:
        """Put silence where audio is missing for too long. To be called every frame or so."""
        late_s = at_s - self._heard_s
        self._streaming = self._streaming and late_s < _GONE_S
        if late_s >= (_LATE_S if self._streaming else _RESTING_LATE_S):
            missing = self.now_sample(at_s) - _LAG_SAMPLES - self._end
            self._fill(missing - missing % FRAME_SAMPLES)

    def take(self) -> Frame | None:
        """Return the next frame, if there is one."""
        if self._overrun_frames:
            self._overrun_frames -= 1
            pcm, gap = silence(FRAME_SAMPLES), True
        elif self._frames:
            pcm, gap = self._frames.popleft()
        else:
            return None
        start, self._next_out = self._next_out, self._next_out + FRAME_SAMPLES
        self.gap_frames += gap
        return Frame(start, pcm, gap)

    def _without_late_copies(self, pcm: Pcm, early: int, at_s: float) -> Pcm:
        """Leave out what silence stands for already: it comes at once, when the network moves again."""
        dropped = min(early, self._filled_samples, len(pcm)) if early > _JITTER_SAMPLES else 0
        self._filled_samples -= dropped
        if at_s - self._resumed_s > _LATE_COPIES_S:
            self._filled_samples = 0
        return pcm[dropped:]

    def _fill(self, samples: int) -> None:
        samples = min(samples, _MOST_FILLED_SAMPLES)
        if samples > 0:
            self._filled_samples += samples
            self._append(silence(samples), gap=self._streaming)

    def _append(self, pcm: Pcm, *, gap: bool) -> None:
        self._end += len(pcm)
        self._rest = np.concatenate((self._rest, pcm))
        self._rest_gap = self._rest_gap or (gap and len(pcm) > 0)
        whole = len(self._rest) // FRAME_SAMPLES * FRAME_SAMPLES
        for at in range(0, whole, FRAME_SAMPLES):
            self._frames.append((self._rest[at : at + FRAME_SAMPLES], self._rest_gap))
            self._rest_gap = gap
        self._rest = self._rest[whole:]
        self._rest_gap = gap and len(self._rest) > 0
        while len(self._frames) > _BACKLOG_FRAMES:
            self._frames.popleft()
            self._overrun_frames += 1
