"""What scripted engines say in a scenario: the words of the clips, as far as they lie in the audio that is judged."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicebot.audio import FRAME_SAMPLES, Pcm, samples_from_ms, silence
from voicebot.replay.conversation import Conversation, Spoken

_QUIET_SHARE: Final = 0.05  # of the clip's loudest frame; what is below is a pause between words

_SURE: Final = 0.95


class ScriptedWords:
    """A recogniser's script: it knows what was said when, and so what a stretch of audio up to this moment holds.

    `delay_ms` is how long the recogniser pretends to take before it asks.
    """

    def __init__(self, delay_ms: float) -> None:
        self._delay_samples = samples_from_ms(delay_ms)
        self.conversation: Conversation | None = None

    def __call__(self, pcm: Pcm) -> str:
        """Return the words that were said while the audio was recorded, which ended `delay_ms` ago."""
        if self.conversation is None:
            return ""
        end = self.conversation.port.now_sample() - self._delay_samples
        spoken = sorted(self.conversation.spoken, key=lambda one: one.start_sample)
        return " ".join(filter(None, (said_between(one, end - len(pcm), end) for one in spoken)))

    def finished(self, text: str) -> float:
        """Return the probability that a sentence ends after the text: high where a clip's words end."""
        spoken = self.conversation.spoken if self.conversation is not None else []
        return _SURE if any(one.clip.says and text.endswith(one.clip.says) for one in spoken) else 1 - _SURE


def said_between(spoken: Spoken, start_sample: int, end_sample: int) -> str:
    """Return the words of a clip whose middles lie between two samples of the timeline.

    Each word takes voiced time in proportion to its letters.
    """
    words = spoken.clip.says.split()
    if not words:
        return ""
    ends = np.cumsum([len(word) + 1 for word in words])
    middles = (ends - np.diff(ends, prepend=0) / 2) / ends[-1]
    at = spoken.start_sample + _voiced_sample(spoken.clip.pcm, middles)
    return " ".join(word for word, sample in zip(words, at, strict=True) if start_sample <= sample < end_sample)


def _voiced_sample(pcm: Pcm, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the samples at which those shares of all that is voiced in a clip have passed."""
    padded = np.concatenate((pcm, silence(-len(pcm) % FRAME_SAMPLES)))
    loudness = np.abs(padded.astype(np.int32)).reshape(-1, FRAME_SAMPLES).max(axis=1)
    passed = np.cumsum(loudness > _QUIET_SHARE * loudness.max())
    frames: NDArray[np.int64] = np.searchsorted(passed, shares * passed[-1])
    return frames * FRAME_SAMPLES
