"""A voice that a test can read: each letter is a tone of its own, whatever its loudness.

What the microphone heard, and what the speaker played, becomes text again. So a scripted recogniser knows no more than
was said by the moment it is asked, and a test sees to the word what came out of the loudspeaker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from voicebot.audio import SAMPLE_RATE_HZ, Pcm, samples_from_ms, silence
from voicebot.engines.protocols import Cancel, Speech
from voicebot.engines.scripted import ScriptedSynthesizer

MS_PER_LETTER: Final = 60
_LETTERS: Final = " abcdefghijklmnopqrstuvwxyz0123456789.,?!'-:"
_LOWEST_HZ: Final = 400
_STEP_HZ: Final = 50
_LEVEL: Final = 8000
_SILENT: Final = 60
"""The microphone's own noise is below it."""
_GAP_SAMPLES: Final = samples_from_ms(1)
_PAUSE_SAMPLES: Final = samples_from_ms(50)
_LEAST_SAMPLES, _MOST_SAMPLES = samples_from_ms(20), samples_from_ms(150)


def spoken(text: str, ms_per_letter: float = MS_PER_LETTER) -> Pcm:
    """Say it."""
    letters = [_tone(letter, samples_from_ms(ms_per_letter)) for letter in text.lower()]
    return np.concatenate([silence(0), *letters])


def written(pcm: Pcm) -> str:
    """Return what is said in a recording; a pause parts words, and letters of less than 20 ms are left out."""
    text, before = "", 0
    for begin, end, letter in _letters(pcm):
        text += letter if begin - before < _PAUSE_SAMPLES else f" {letter}"
        before = end
    return " ".join(text.split())


def heard_by_now(pcm: Pcm) -> str:
    """Return what a recogniser makes of a recording: without the last word, if that is still being spoken."""
    text = written(pcm)
    goes_on = bool((np.abs(pcm[-2 * _GAP_SAMPLES :].astype(int)) > _SILENT).any())
    return text.rpartition(" ")[0] if goes_on else text


@dataclass
class ReadableSynthesizer(ScriptedSynthesizer):
    """Speaks in that voice, a piece at a time."""

    piece_ms: float = 100_000

    def synthesize(self, text: str, *, first: bool, cancel: Cancel) -> Iterator[Speech]:
        list(super().synthesize(text, first=first, cancel=cancel))  # which may be told to fail
        pcm = spoken(text, self.ms_per_letter)
        ends = tuple(samples_from_ms(self.ms_per_letter * word.end()) for word in re.finditer(r"\S+", text))
        size = samples_from_ms(self.piece_ms)
        for at in range(0, len(pcm), size):
            yield Speech(pcm[at : at + size], () if at else ends)


def _tone(letter: str, samples: int) -> Pcm:
    frequency_hz = _LOWEST_HZ + _STEP_HZ * _LETTERS.index(letter)
    wave = np.sin(np.arange(samples) * (2 * np.pi * frequency_hz / SAMPLE_RATE_HZ) + 0.5)
    tone: Pcm = (_LEVEL * wave).astype(np.int16)
    tone[samples - _GAP_SAMPLES :] = 0
    return tone


def _letters(pcm: Pcm) -> Iterator[tuple[int, int, str]]:
    """Yield where each letter begins and ends, and which it is."""
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > _SILENT)
    if len(loud) == 0:
        return
    cuts = np.flatnonzero(np.diff(loud) > _GAP_SAMPLES // 2)
    for begin, end in zip([loud[0], *loud[cuts + 1]], [*loud[cuts], loud[-1]], strict=True):
        if _LEAST_SAMPLES <= end - begin <= _MOST_SAMPLES:
            crossings = np.flatnonzero(np.diff(np.signbit(pcm[begin:end])))
            frequency_hz = (len(crossings) - 1) / 2 * SAMPLE_RATE_HZ / (crossings[-1] - crossings[0])
            number = round((frequency_hz - _LOWEST_HZ) / _STEP_HZ)
            if 0 <= number < len(_LETTERS):
                yield int(begin), int(end), _LETTERS[number]
