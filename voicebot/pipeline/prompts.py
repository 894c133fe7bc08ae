"""Texts that come in from elsewhere than the microphone: to be answered aloud, or to be said."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from voicebot.errors import VoicebotError
from voicebot.events import TurnEnded

_MOST_WAITING: Final = 8


class BusyError(VoicebotError):
    """There is no room for one more."""


class EndedError(VoicebotError):
    """The conversation is over."""


@dataclass(eq=False, slots=True)
class Prompt:
    """A text, and the turn that it becomes."""

    text: str
    asked: bool
    """It is a request that is to be answered; else it is to be said as it stands."""
    ended: asyncio.Future[TurnEnded] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Done when its turn has ended; cancelled where there will be none."""


class Prompts:
    """One session's, first come first served. They wait until nobody speaks; who speaks over one at once goes first."""

    def __init__(self) -> None:
        self._waiting: deque[Prompt] = deque()
        self._current: Prompt | None = None
        self._over = False

    @property
    def current(self) -> Prompt | None:
        """The one that is a turn at this moment."""
        return self._current

    def add(self, text: str, *, asked: bool) -> asyncio.Future[TurnEnded]:
        """Let a text wait for its turn. Raises BusyError when too many wait already, EndedError after `cancel`."""
        if self._over:
            raise EndedError("this conversation has ended; begin another one.")
        if len(self._waiting) >= _MOST_WAITING:
            raise BusyError(f"{_MOST_WAITING} texts wait to be spoken already; try again when some have been.")
        prompt = Prompt(text, asked)
        self._waiting.append(prompt)
        return prompt.ended

    def take(self) -> Prompt | None:
        """Make the next one the current one; who has given up waiting for it is left out."""
        while self._waiting and self._waiting[0].ended.cancelled():
            self._waiting.popleft()
        if self._waiting:
            self._current = self._waiting.popleft()
        return self._current

    def put_back(self) -> None:
        """Let the current one wait again, before all others: the user spoke before anything of it was audible."""
        if self._current is not None:
            self._waiting.appendleft(self._current)
            self._current = None

    def turn_ended(self, turn: TurnEnded) -> None:
        """Tell who waits for the current one, if there is one."""
        prompt, self._current = self._current, None
        if prompt is not None and not prompt.ended.done():
            prompt.ended.set_result(turn)

    def cancel(self) -> None:
        """Give all of them up, for good."""
        self._over = True
        for prompt in (self._current, *self._waiting):
            if prompt is not None:
                prompt.ended.cancel()
        self._current = None
        self._waiting.clear()
