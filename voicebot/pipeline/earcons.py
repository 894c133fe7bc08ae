"""Short soft tones that tell what the assistant does, for who doesn't see it. They are never part of a reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from voicebot.audio import FULL_SCALE, SAMPLE_RATE_HZ, Pcm, samples_from_ms
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.config.wake import EarconSettings
from voicebot.events import AttentionChanged, Event, StateChanged, TurnDiscarded

EARCON: Final = "earcon"
"""The tag under which they are played: nobody's reply."""
_NOTE_SAMPLES: Final = samples_from_ms(80)
_CALLED_HZ: Final = (660, 880)
_NOT_UNDERSTOOD_HZ: Final = (440, 330)
_THINKING_HZ: Final = (440,)
_SWITCHED_HZ: Final = {"muted": (440, 220), "unmuted": (220, 440)}


class Earcons:
    """One session's. What is to be heard while something else plays is left out: that says enough."""

    def __init__(self, playback: PlaybackBuffer, settings: EarconSettings) -> None:
        self._playback = playback
        self._settings = settings

    def on(self, event: Event) -> None:
        """Play the tone that tells of an event, if there is one."""
        match event:
            case AttentionChanged(attentive=True):
                self._play(_CALLED_HZ)
            case TurnDiscarded():
                self._play(_NOT_UNDERSTOOD_HZ)
            case StateChanged(state="muted" | "unmuted" as switched):
                self._play(_SWITCHED_HZ[switched])
            case _:
                pass

    def _play(self, notes_hz: Sequence[int]) -> None:
        if self._settings.enabled and not self._playback.queued_samples:
            self._playback.push(EARCON, tone(notes_hz, self._settings.level_dbfs))


def thinking(settings: EarconSettings) -> Pcm:
    """Return the tone for a wait that has become long."""
    return tone(_THINKING_HZ, settings.level_dbfs)


def tone(notes_hz: Sequence[int], level_dbfs: float) -> Pcm:
    """Return notes of 80 ms, each swelling and fading; `level_dbfs` is their peak."""
    phase = np.arange(_NOTE_SAMPLES) / SAMPLE_RATE_HZ * 2 * np.pi
    peak = FULL_SCALE * 10 ** (level_dbfs / 20) * np.hanning(_NOTE_SAMPLES)
    notes: Pcm = np.concatenate([peak * np.sin(phase * note_hz) for note_hz in notes_hz]).astype(np.int16)
    return notes
