"""When speech begins, pauses and ends, from the voice detector's probabilities alone.

Two thresholds keep a wavering probability from flapping, as Silero's own iterator does. An end comes in two steps:
the soft end, after which work may begin, and the end of turn, after which the reply may be heard.
"""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.audio import samples_from_ms
from voicebot.turn.table import TurnEvent


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """The constants of endpointing; the pipeline file gives each with its reason."""

    speech_probability: float
    silence_probability: float
    onset_ms: int
    confirm_ms: int
    soft_end_ms: int
    end_of_turn_ms: int
    longest_turn_ms: int


@dataclass(frozen=True, slots=True)
class VoiceEvent:
    """An event for the turn machine, and the sample of the timeline it is about."""

    event: TurnEvent
    at_sample: int
    """Where speech began, or where it was last heard."""


class Endpointer:
    """Follows one microphone. Feed it every stretch of audio in order; silence included."""

    def __init__(self, rules: EndpointRules) -> None:
        self._rules = rules
        self._onset_samples = samples_from_ms(rules.onset_ms)
        self._confirm_samples = samples_from_ms(rules.confirm_ms)
        self._soft_end_samples = samples_from_ms(rules.soft_end_ms)
        self._end_of_turn_samples = samples_from_ms(rules.end_of_turn_ms)
        self._longest_samples = samples_from_ms(rules.longest_turn_ms)
        self._rising_from: int | None = None
        self._speech_from: int | None = None
        self._turn_from: int | None = None
        self._speech_end = 0
        self._confirmed = False

    @property
    def speaking(self) -> bool:
        """Whether speech has begun and not paused."""
        return self._speech_from is not None

    @property
    def near_speech(self) -> bool:
        """Whether the accurate detector is still needed: in speech, at its possible beginning, or before its end."""
        return self._speech_from is not None or self._rising_from is not None or self._turn_from is not None

    @property
    def speech_end_sample(self) -> int:
        """The sample after the last speech heard."""
        return self._speech_end

    def hear(self, start_sample: int, end_sample: int, probability: float) -> list[VoiceEvent]:
        """Take the probability of speech in a stretch of the timeline, and return what follows from it."""
        if self._speech_from is None:
            return self._hear_outside_speech(start_sample, end_sample, probability)
        return self._hear_speech(end_sample, probability)

    def _hear_outside_speech(self, start: int, end: int, probability: float) -> list[VoiceEvent]:
        if probability >= self._rules.speech_probability:
            if self._rising_from is None:
                self._rising_from = start
            if end - self._rising_from >= self._onset_samples:
                return self._begin_speech(end)
            return []
        self._rising_from = None
        if self._turn_from is not None and end - self._speech_end >= self._end_of_turn_samples:
            self._turn_from = None
            return [VoiceEvent(TurnEvent.END_OF_TURN, self._speech_end)]
        return []

    def _begin_speech(self, end: int) -> list[VoiceEvent]:
        begun = self._rising_from or 0
        self._speech_from, self._rising_from = begun, None
        self._speech_end = end
        self._confirmed = False
        if self._turn_from is None:
            self._turn_from = begun
        return [VoiceEvent(TurnEvent.SPEECH_STARTED, begun), *self._confirm(end)]

    def _hear_speech(self, end: int, probability: float) -> list[VoiceEvent]:
        if self._speech_from is None or self._turn_from is None:
            return []
        if probability >= self._rules.silence_probability:
            self._speech_end = end
            events = self._confirm(end)
            if end - self._turn_from >= self._longest_samples:
                self._speech_from = self._turn_from = None
                events += [VoiceEvent(TurnEvent.SOFT_END, end), VoiceEvent(TurnEvent.END_OF_TURN, end)]
            return events
        if end - self._speech_end >= self._soft_end_samples:
            self._speech_from = None
            return [VoiceEvent(TurnEvent.SOFT_END, self._speech_end)]
        return []

    def _confirm(self, end: int) -> list[VoiceEvent]:
        if self._confirmed or self._speech_from is None or end - self._speech_from < self._confirm_samples:
            return []
        self._confirmed = True
        return [VoiceEvent(TurnEvent.SPEECH_CONFIRMED, self._speech_from)]
