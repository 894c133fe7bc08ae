"""Whether the assistant listens to who speaks: always, or for a while after it was called. Times are in samples."""

from __future__ import annotations

from typing import Final

from voicebot.turn.activity import VoiceEvent
from voicebot.turn.table import State

_REPLYING: Final = {State.SPEAKING, State.OVERLAP, State.PAUSED, State.WEIGHING}


class Attention:
    """One session's. What is heard while it is asleep opens no turn; a turn that is open is followed to its end."""

    def __init__(self, window_samples: int, *, always: bool, after_reply: bool) -> None:
        """Listen for `window_samples` at a time, or `always`. `after_reply`: a reply may be answered at once."""
        self.attentive = always
        self._window_samples = window_samples
        self._always = always
        self._after_reply = after_reply
        self._until = 0
        self._state = State.IDLE

    def call(self, at_sample: int) -> None:
        """Listen for a while from there."""
        self._until = max(self._until, at_sample + self._window_samples)

    def release(self, at_sample: int) -> None:
        """Listen to nothing that begins after that."""
        self._until = min(self._until, at_sample)

    def follow(self, now_sample: int, state: State) -> bool:
        """Take note of where the conversation stands; return whether `attentive` has changed with it."""
        if self._after_reply and state is State.IDLE and self._state in _REPLYING:
            self.call(now_sample)
        self._state = state
        before = self.attentive
        listening_on = before and state is not State.IDLE
        self.attentive = self._always or listening_on or now_sample < self._until
        return self.attentive is not before

    def left_samples(self, now_sample: int) -> int | None:
        """Return for how much longer it listens to whoever begins to speak; None without end."""
        return None if self._always else max(0, self._until - now_sample)

    def minds(self, heard: VoiceEvent) -> bool:
        """Return whether it is for the turn machine. A reply can be interrupted by everybody."""
        return self._always or self._state is not State.IDLE or heard.at_sample < self._until
