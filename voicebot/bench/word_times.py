"""When each word of a recording is said, by Whisper's cross-attention. Too slow to be part of a conversation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from faster_whisper import WhisperModel

from voicebot.audio import FULL_SCALE, SAMPLE_RATE_HZ, Pcm


@dataclass(frozen=True, slots=True)
class WordBoundary:
    """Where one word ends and the next begins, to about 100 ms."""

    sample: int
    before: str
    after: str


def word_boundaries(model: Path, language: str, clips: Sequence[Pcm]) -> list[list[WordBoundary]]:
    """Return those of each clip. `model`: the folder of a faster-whisper model."""
    whisper = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=1)
    return [_boundaries(whisper, language, pcm) for pcm in clips]


def _boundaries(whisper: WhisperModel, language: str, pcm: Pcm) -> list[WordBoundary]:
    segments, _ = whisper.transcribe(
        pcm.astype(np.float32) / FULL_SCALE, language=language, beam_size=1, word_timestamps=True
    )
    words = [word for segment in segments for word in segment.words]
    return [
        WordBoundary(round((one.end + other.start) / 2 * SAMPLE_RATE_HZ), one.word, other.word)
        for one, other in itertools.pairwise(words)
    ]
