"""From the audio of a revision to the user's words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm, silence
from voicebot.engines.protocols import VoiceDetector
from voicebot.pipeline.stages import Asr

_NO_WORDS: Final = re.compile(r"[\[(*♪].*?[\])*♪]")
"""What recognisers write for sounds that are no words: [BLANK_AUDIO], (coughs), *music*."""
_LONGEST_SAMPLES: Final = 28 * SAMPLE_RATE_HZ
_SEARCHED_SAMPLES: Final = 8 * SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Recognized:
    """The user's words; empty when there are none."""

    text: str
    mean_logprob: float
    """Of the least certain piece of the audio."""


async def recognize(asr: Asr, pcm: Pcm, *, thorough: bool = True) -> Recognized:
    """Return the words in a revision's audio."""
    transcripts = [await asr.transcribe(piece, thorough=thorough) for piece in pieces(pcm)]
    text = " ".join(transcript.text for transcript in transcripts)
    words = " ".join(_NO_WORDS.sub(" ", text).split())
    certainty = min(transcript.mean_logprob for transcript in transcripts)
    return Recognized(words if any(map(str.isalnum, words)) else "", certainty)


def pieces(pcm: Pcm) -> list[Pcm]:
    """Cut long audio into pieces that fit a recogniser's window, each at the quietest moment near its end."""
    found: list[Pcm] = []
    while len(pcm) > _LONGEST_SAMPLES:
        searched = pcm[_LONGEST_SAMPLES - _SEARCHED_SAMPLES : _LONGEST_SAMPLES].astype(np.float32)
        power = np.square(searched).reshape(-1, FRAME_SAMPLES).sum(axis=1)
        end = _LONGEST_SAMPLES - _SEARCHED_SAMPLES + int(power.argmin()) * FRAME_SAMPLES + FRAME_SAMPLES // 2
        found.append(pcm[:end])
        pcm = pcm[end:]
    return [*found, pcm]


def holds_speech(pcm: Pcm, detector: VoiceDetector, threshold: float) -> bool:
    """Return whether any chunk of the audio is speech; recognisers put words into silence."""
    size = detector.chunk_samples
    padded = np.concatenate((pcm, silence(-len(pcm) % size)))
    return any(detector.probability(padded[at : at + size]) >= threshold for at in range(0, len(padded), size))
