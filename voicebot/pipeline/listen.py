"""From frames to what they mean for the turn: the cheap gate, the accurate detector behind it, voice activity."""

from __future__ import annotations

from typing import Final

from voicebot.audio import Frame, Pcm, level_dbfs, samples_from_ms
from voicebot.engines.protocols import VoiceDetector, VoiceGate
from voicebot.pipeline.background import Background
from voicebot.pipeline.recent_audio import RecentAudio
from voicebot.turn.activity import ActivityRules, VoiceActivity, VoiceEvent

_KEPT_MS: Final = 120_000
"""A turn outgrows the longest one when the user goes on before anything is audible. Two minutes are 4 MB."""
_WAKE_CHUNKS: Final = 4
"""How much audio from before the gate opened the detector sees first; it needs some to judge by."""


class Listener:
    """Follows one microphone. The detector sleeps while the gate hears nothing and no turn is open."""

    def __init__(self, gate: VoiceGate, detector: VoiceDetector, rules: ActivityRules, gate_hangover_ms: int) -> None:
        self._gate = gate
        self._detector = detector
        self._hangover_samples = samples_from_ms(gate_hangover_ms)
        self.activity = VoiceActivity(rules)
        self._background = Background()
        self._recent = RecentAudio(samples_from_ms(_KEPT_MS))
        self._awake_until = 0
        self._judged_until = 0
        self.awake = False
        """Whether the last frame was near speech."""

    def hear(self, frame: Frame, *, echo: bool = False) -> list[VoiceEvent]:
        """Take the next frame and return what happened by its end. `echo`: our own voice may be in it."""
        self._recent.append(frame)
        self._background.hear(frame)
        was_awake = self._awake_until > frame.start_sample or self.activity.near_speech
        if self._gate.opens(frame.pcm):
            self._awake_until = frame.end_sample + self._hangover_samples
        self.awake = self._awake_until > frame.end_sample or self.activity.near_speech
        if not self.awake:
            self._judged_until = frame.end_sample
            return []
        if not was_awake:
            self._detector.reset()
            before = frame.start_sample - _WAKE_CHUNKS * self._detector.chunk_samples
            self._judged_until = max(self._recent.begin_sample, before)
        return self._judge(echo=echo)

    def utterance(self, start_sample: int, end_sample: int) -> Pcm:
        """Return what was heard between two samples, as far back as it is kept."""
        return self._recent.read(start_sample, end_sample)

    def _judge(self, *, echo: bool) -> list[VoiceEvent]:
        events: list[VoiceEvent] = []
        chunk = self._detector.chunk_samples
        while self._recent.end_sample - self._judged_until >= chunk:
            start, end = self._judged_until, self._judged_until + chunk
            pcm = self._recent.read(start, end)
            probability = self._detector.probability(pcm)
            if not self._background.stands_out(going_on=self.activity.speaking):
                probability = 0.0  # a murmur in the room
            events += self.activity.hear(start, end, probability, level_dbfs(pcm), echo=echo)
            self._judged_until = end
        return events
