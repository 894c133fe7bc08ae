"""The VAD gate: WebRTC's detector, microseconds per frame, behind a floor of loudness."""

from __future__ import annotations

import numpy as np
import webrtcvad

from voicebot.audio import FULL_SCALE, SAMPLE_RATE_HZ, Pcm


class WebRtcGate:
    """Open when WebRTC's detector says speech and the frame's RMS level is above the floor.

    The floor is there because the detector adapts to any steady noise, however faint, and would keep the accurate
    detector awake in an empty room.
    """

    def __init__(self, aggressiveness: int, floor_dbfs: float) -> None:
        self._detector = webrtcvad.Vad(aggressiveness)
        self._floor_power = (FULL_SCALE * 10 ** (floor_dbfs / 20)) ** 2

    def opens(self, pcm: Pcm) -> bool:
        """Return whether a frame may hold speech. `pcm`: 160, 320 or 480 samples at 16 kHz."""
        samples = pcm.astype(np.float32)
        if float(np.dot(samples, samples)) < self._floor_power * len(samples):
            return False
        return bool(self._detector.is_speech(pcm.tobytes(), SAMPLE_RATE_HZ))
