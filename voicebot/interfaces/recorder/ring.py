"""What happened in the latest minutes, in memory: the oldest is forgotten first."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from voicebot.audio import Frame
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.events import Event
from voicebot.turn.table import State, Step, TurnEvent

_ENTRY_BYTES: Final = 200
"""Of an entry around its sound."""
_HAPPENING_BYTES: Final = 2000
"""Of an event or a decision: many are smaller, a whole turn is larger."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What a microphone heard from a sample on, and what the speaker played meanwhile: int16, empty for silence."""

    start_sample: int
    microphone: bytes
    speaker: bytes

    @classmethod
    def of(cls, frame: Frame, playback: PlaybackBuffer) -> Sound:
        """Take a frame that has just been spoken."""
        played = b""
        if playback.sounding_until > frame.start_sample:
            played = playback.sounded(frame.start_sample, frame.end_sample).tobytes()
        return cls(frame.start_sample, frame.pcm.tobytes(), played)

    @property
    def end_sample(self) -> int:
        """The sample after the last one."""
        return self.start_sample + len(self.microphone) // 2


@dataclass(frozen=True, slots=True)
class Decided:
    """What the turn table said to an event; `step` is None where it is not allowed."""

    at_sample: int
    state: State
    event: TurnEvent
    step: Step | None


@dataclass(frozen=True, slots=True)
class Entry:
    """Something, when it was, and in which session; "" for the whole box."""

    at_s: float
    session: str
    what: Event | Decided | Sound

    @property
    def size_bytes(self) -> int:
        """About what it takes."""
        if isinstance(self.what, Sound):
            return _ENTRY_BYTES + len(self.what.microphone) + len(self.what.speaker)
        return _HAPPENING_BYTES


class Ring:
    """Holds what is no older than `longest_s`, and no more than `most_bytes` of it."""

    def __init__(self, longest_s: float, most_bytes: int) -> None:
        self._longest_s = longest_s
        self._most_bytes = most_bytes
        self._entries: deque[Entry] = deque()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return self._bytes

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All that it holds, the oldest first."""
        return tuple(self._entries)

    def add(self, entry: Entry) -> None:
        """Take the next one, and forget what is too old or too much by that."""
        self._entries.append(entry)
        self._bytes += entry.size_bytes
        self.forget(entry.at_s)

    def forget(self, now_s: float) -> None:
        """Forget what has become too old."""
        while self._entries and (self._bytes > self._most_bytes or self._entries[0].at_s < now_s - self._longest_s):
            self._bytes -= self._entries.popleft().size_bytes

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._bytes = 0
