"""Voice activity by hand: chunks of 10 ms (160 samples) with a probability each."""

from __future__ import annotations

from collections.abc import Iterable

from voicebot.audio import ms_from_samples
from voicebot.turn.activity import ActivityRules, VoiceActivity, VoiceEvent
from voicebot.turn.table import TurnEvent

CHUNK = 160
RULES = ActivityRules(
    sign_probability=0.4,
    speech_probability=0.5,
    silence_probability=0.3,
    echo_probability=0.8,
    silence_drop_db=20.0,
    onset_ms=30,
    confirm_ms=100,
    soft_end_ms=50,
    longest_silence_ms=200,
    longest_turn_ms=2000,
)
SIGN, FADED = TurnEvent.SPEECH_SIGN, TurnEvent.SIGN_FADED
STARTED, CONFIRMED = TurnEvent.SPEECH_STARTED, TurnEvent.SPEECH_CONFIRMED
SOFT_END, END = TurnEvent.SOFT_END, TurnEvent.END_OF_TURN


class Microphone:
    """Feeds voice activity chunk by chunk and keeps when each event came and what it was about, both in chunks."""

    def __init__(self, rules: ActivityRules = RULES) -> None:
        self.activity = VoiceActivity(rules)
        self.chunks = 0
        self.events: list[tuple[TurnEvent, int, float]] = []

    def hear(self, probabilities: Iterable[float], *, level_dbfs: float = 0.0, echo: bool = False) -> list[TurnEvent]:
        """Return the events that came meanwhile, but for signs of speech."""
        before = len(self.events)
        for probability in probabilities:
            start = self.chunks * CHUNK
            self.chunks += 1
            self._keep(self.activity.hear(start, self.chunks * CHUNK, probability, level_dbfs, echo=echo))
        return [event for event, _, _ in self.events[before:] if event not in {SIGN, FADED}]

    def speech(self, chunks: int) -> list[TurnEvent]:
        return self.hear([1.0] * chunks)

    def silence(self, chunks: int) -> list[TurnEvent]:
        return self.hear([0.0] * chunks)

    def need_silence(self, chunks: float) -> list[TurnEvent]:
        return self._keep(self.activity.need_silence(ms_from_samples(round(chunks * CHUNK))))

    def _keep(self, found: list[VoiceEvent]) -> list[TurnEvent]:
        self.events += [(event.event, self.chunks, event.at_sample / CHUNK) for event in found]
        return [event.event for event in found]
