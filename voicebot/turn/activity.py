"""When speech begins and pauses, from the voice detector's probabilities alone.

Two thresholds keep a wavering probability from flapping, as Silero's own iterator does. A beginning comes in steps, a
sign, an onset, a confirmation, so that what is cheap to take back can be done early. After the soft end the silence is
counted until as much has passed as the evidence of `turn/endpoint.py` asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voicebot.audio import samples_from_ms
from voicebot.turn.table import TurnEvent

_FORGOTTEN_DB: Final = 0.3
"""Of the voice's level, with each stretch: about 9 dB in a second, so that a cry does not make silence of a murmur."""


@dataclass(frozen=True, slots=True)
class ActivityRules:
    """The constants of voice activity; the pipeline file gives each with its reason."""

    sign_probability: float
    speech_probability: float
    silence_probability: float
    echo_probability: float
    silence_drop_db: float
    onset_ms: int
    confirm_ms: int
    soft_end_ms: int
    longest_silence_ms: int
    longest_turn_ms: int


@dataclass(frozen=True, slots=True)
class VoiceEvent:
    """An event for the turn machine, and the sample of the timeline it is about."""

    event: TurnEvent
    at_sample: int
    """Where speech began, or where it was last heard."""


class VoiceActivity:
    """Follows one microphone. Feed it every stretch of audio in order; silence included."""

    def __init__(self, rules: ActivityRules) -> None:
        self._rules = rules
        self._onset_samples = samples_from_ms(rules.onset_ms)
        self._confirm_samples = samples_from_ms(rules.confirm_ms)
        self._soft_end_samples = samples_from_ms(rules.soft_end_ms)
        self._longest_silence_samples = samples_from_ms(rules.longest_silence_ms)
        self._longest_samples = samples_from_ms(rules.longest_turn_ms)
        self._needed_samples = self._longest_silence_samples
        self._sign_until: int | None = None
        self._rising_from: int | None = None
        self._speech_from: int | None = None
        self._turn_from: int | None = None
        self._speech_end = 0
        self._heard_until = 0
        self._voice_dbfs = 0.0
        self._confirmed = False

    @property
    def speaking(self) -> bool:
        """Whether speech has begun and not paused."""
        return self._speech_from is not None

    @property
    def near_speech(self) -> bool:
        """Whether the accurate detector is still needed: in speech, at its possible beginning, or before its end."""
        return (
            self._speech_from is not None
            or self._rising_from is not None
            or self._turn_from is not None
            or self._sign_until is not None
        )

    @property
    def speech_end_sample(self) -> int:
        """The sample after the last speech heard."""
        return self._speech_end

    def turn_began(self, at_sample: int) -> None:
        """Count the turn's length from there: what was heard before was not part of it."""
        if self._turn_from is not None:
            self._turn_from = at_sample

    def set_soft_end(self, duration_ms: int) -> None:
        """Call it a soft end after as long a silence from now on."""
        self._soft_end_samples = samples_from_ms(duration_ms)

    def need_silence(self, duration_ms: float) -> list[VoiceEvent]:
        """End the turn when the pause at hand has lasted so long; return what follows at once."""
        self._needed_samples = min(samples_from_ms(duration_ms), self._longest_silence_samples)
        return self._end_turn() if self._speech_from is None and self._rising_from is None else []

    def begin_anew(self) -> None:
        """Take what goes on for no speech; if it is some, it begins now."""
        self._speech_from = self._turn_from = self._rising_from = self._sign_until = None

    def hear(
        self, start_sample: int, end_sample: int, probability: float, level_dbfs: float = 0.0, *, echo: bool = False
    ) -> list[VoiceEvent]:
        """Take the probability of speech in a stretch of the timeline, and its level; return what follows from it.

        `echo`: what is heard may be our own voice, so that more is asked of a beginning.
        """
        self._heard_until = end_sample
        if self._is_silence(level_dbfs):
            probability = 0.0
        if self._speech_from is None:
            return self._hear_outside_speech(start_sample, end_sample, probability, echo=echo)
        return self._hear_speech(end_sample, probability)

    def _is_silence(self, level_dbfs: float) -> bool:
        """Return whether a stretch is far below the voice before it: known 50 ms before the detector believes it."""
        if self._turn_from is None:
            self._voice_dbfs = level_dbfs
        elif self._speech_from is not None:
            self._voice_dbfs = max(self._voice_dbfs - _FORGOTTEN_DB, level_dbfs)
        return level_dbfs < self._voice_dbfs - self._rules.silence_drop_db

    def _hear_outside_speech(self, start: int, end: int, probability: float, *, echo: bool) -> list[VoiceEvent]:
        rules = self._rules
        events = self._look_for_sign(start, end, probability, rules.speech_probability if echo else None)
        if probability >= (rules.echo_probability if echo else rules.speech_probability):
            if self._rising_from is None:
                self._rising_from = start
            if end - self._rising_from >= self._onset_samples:
                return events + self._begin_speech(end)
            return events
        self._rising_from = None
        return events + self._end_turn()

    def _look_for_sign(self, start: int, end: int, probability: float, threshold: float | None) -> list[VoiceEvent]:
        if probability >= (self._rules.sign_probability if threshold is None else threshold):
            news = self._sign_until is None
            self._sign_until = end
            return [VoiceEvent(TurnEvent.SPEECH_SIGN, start)] if news else []
        if self._sign_until is not None and end - self._sign_until >= self._onset_samples:
            self._sign_until = None
            return [VoiceEvent(TurnEvent.SIGN_FADED, end)]
        return []

    def _end_turn(self) -> list[VoiceEvent]:
        if self._turn_from is None or self._heard_until - self._speech_end < self._needed_samples:
            return []
        self._turn_from = None
        return [VoiceEvent(TurnEvent.END_OF_TURN, self._speech_end)]

    def _begin_speech(self, end: int) -> list[VoiceEvent]:
        begun = end if self._rising_from is None else self._rising_from
        self._speech_from, self._rising_from, self._sign_until = begun, None, None
        self._speech_end = end
        self._confirmed = False
        self._needed_samples = self._longest_silence_samples
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
