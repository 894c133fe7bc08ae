"""A listener that may have to be called first: by a word, or by a button.

The word ends whatever is under way, as the stop button does. What follows it, in the same breath or after a pause,
begins anew, and the word itself is not among what is recognised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from voicebot.audio import Frame, Pcm, samples_from_ms
from voicebot.config.pipeline import PipelineSettings
from voicebot.engines.protocols import WakeWord
from voicebot.events import AttentionChanged, Observer
from voicebot.pipeline.listen import Listener
from voicebot.pipeline.prompts import Prompts
from voicebot.pipeline.rules import activity_rules
from voicebot.pipeline.stages import Stages
from voicebot.turn.activity import VoiceActivity, VoiceEvent
from voicebot.turn.attention import Attention
from voicebot.turn.table import State, TurnEvent

_BEFORE_SAMPLES: Final = samples_from_ms(300)
"""What the word's detector is shown from before the gate opened, which a soft "okay" may do late."""


class AttentiveListener:
    """Follows one microphone for one session. The word's detector sleeps when the voice detector does."""

    def __init__(
        self,
        session: str,
        stages: Stages,
        settings: PipelineSettings,
        prompts: Prompts,
        state: Callable[[], State],
        publish: Observer,
    ) -> None:
        wake, endpoint = settings.wake, settings.endpoint
        self._session = session
        self._prompts = prompts
        self._state = state
        self._publish = publish
        self._listener = Listener(
            stages.make_gate(),
            stages.make_detector(),
            activity_rules(endpoint, settings.speculation),
            endpoint.gate_hangover_ms,
        )
        self._attention = Attention(
            samples_from_ms(wake.window_s * 1000), always=wake.mode == "always", after_reply=wake.mode == "word"
        )
        self._word: WakeWord | None = stages.make_wake_word() if stages.make_wake_word is not None else None
        self._word_shown_until = 0
        self._word_end_sample = 0

    @property
    def activity(self) -> VoiceActivity:
        """Whose voice it is does not matter there."""
        return self._listener.activity

    @property
    def attention(self) -> Attention:
        """Whether it listens to who speaks, and for how long."""
        return self._attention

    def hear(self, frame: Frame, *, echo: bool = False) -> list[VoiceEvent]:
        """Take the next frame and return what happened in it that matters. `echo`: our own voice may be in it."""
        self._follow(frame.end_sample)
        events = self._listener.hear(frame, echo=echo)
        if self._word is not None and self._says(self._word, frame) and not echo:
            self._word_end_sample = frame.end_sample - self._word.late_samples
            self.activity.begin_anew()
            self._attention.call(frame.end_sample)
            self._follow(frame.end_sample, anew=True)
            return [VoiceEvent(TurnEvent.STOP, frame.end_sample)]
        if self._prompts.goes_first(self._state(), attentive=self._attention.attentive):
            return []
        return [heard for heard in events if self._attention.minds(heard)]

    def press(self, at_sample: int, *, pressed: bool) -> None:
        """Be called, or released, by a button."""
        if not pressed:
            self._attention.release(at_sample)
        else:
            if not self._attention.attentive:
                self.activity.begin_anew()  # who speaks already may be whoever has pressed it
            self._attention.call(at_sample)
        self._follow(at_sample)

    def utterance(self, start_sample: int, end_sample: int) -> Pcm:
        """Return what was heard between two samples, from the last wake word on, as far back as it is kept."""
        return self._listener.utterance(max(start_sample, self._word_end_sample), end_sample)

    def _says(self, word: WakeWord, frame: Frame) -> bool:
        if not self._listener.awake:
            return False
        if self._word_shown_until < frame.start_sample:
            word.reset()
            self._word_shown_until = max(self._word_shown_until, frame.start_sample - _BEFORE_SAMPLES)
        pcm = self._listener.utterance(self._word_shown_until, frame.end_sample)
        self._word_shown_until = frame.end_sample
        return word.hears(pcm)

    def _follow(self, now_sample: int, *, anew: bool = False) -> None:
        if self._attention.follow(now_sample, self._state()) or anew:
            self._publish(AttentionChanged(self._session, now_sample, self._attention.attentive))
