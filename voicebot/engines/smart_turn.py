"""Whether a voice sounds finished, with Smart Turn v3: Whisper tiny's encoder and a classifier, on 8 s of audio.

The prosody of its end is measured beside the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from voicebot.audio import FULL_SCALE, SAMPLE_RATE_HZ, Pcm
from voicebot.engines.log_mel import HOP_SAMPLES, MEL_BANDS, log_mel
from voicebot.engines.onnx import StoppableSession
from voicebot.engines.prosody import prosody_at_end
from voicebot.engines.protocols import Cancel, VoiceEnd
from voicebot.errors import EngineError

WINDOW_SAMPLES: Final = 8 * SAMPLE_RATE_HZ
_INPUT: Final = "input_features"
_SHAPE: Final = (MEL_BANDS, WINDOW_SAMPLES // HOP_SAMPLES)
_LEAST_VARIANCE: Final = 1e-7


class SmartTurn:
    """A loaded model. Raises EngineError when the file is none."""

    def __init__(self, model: Path, threads: int) -> None:
        self._session = StoppableSession(model, threads, keep_memory=True)
        inputs = self._session.inputs
        if set(inputs) != {_INPUT} or inputs[_INPUT][1:] != _SHAPE:
            raise EngineError(f"{model} is no Smart Turn v3 model: its inputs are {dict(inputs)}.")

    def judge(self, pcm: Pcm, cancel: Cancel) -> VoiceEnd:
        """Return how the voice ended, from the turn's audio: 16 kHz mono int16, of which the last 8 s count."""
        probability = self._probability(pcm, cancel)
        prosody = prosody_at_end(pcm)
        return VoiceEnd(probability, prosody.pitch_semitones, prosody.level_db, prosody.change)

    def _probability(self, pcm: Pcm, cancel: Cancel) -> float:
        """As in training, shorter audio has silence in front, and all is brought to mean 0 and variance 1 together."""
        spoken = pcm[-WINDOW_SAMPLES:].astype(np.float32) / FULL_SCALE
        quiet_samples = WINDOW_SAMPLES - len(spoken)
        wave = np.concatenate([np.zeros(quiet_samples, np.float32), spoken])
        wave = (wave - wave.mean()) / np.sqrt(wave.var() + _LEAST_VARIANCE)
        (probability,) = self._session.run({_INPUT: log_mel(wave, quiet_samples)[None]}, cancel)
        return float(probability.item())
