"""Texts that come in from elsewhere than the microphone: to be answered aloud, or to be said."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from voicebot.audio import FRAME_MS
from voicebot.errors import VoicebotError
from voicebot.events import TurnEnded
from voicebot.turn.table import State

_log = logging.getLogger(__name__)
FOR_EVER_S: Final = math.inf
_MOST_WAITING: Final = 8
_USERS_TURN: Final = {State.LISTENING, State.PENDING}


class BusyError(VoicebotError):
    """There is no room for one more, or no pause to speak in."""


class EndedError(VoicebotError):
    """The conversation is over."""


@dataclass(eq=False, slots=True)
class Prompt:
    """A text, and the turn that it becomes."""

    text: str
    asked: bool
    """It is a request that is to be answered; else it is to be said as it stands."""
    longest_wait_s: float = FOR_EVER_S
    ended: asyncio.Future[TurnEnded] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Done when its turn has ended; cancelled where there will be none."""
    waited_ms: int = 0
    """For how long others have talked meanwhile; our own replies do not count."""

    @property
    def insists(self) -> bool:
        """Whether it has waited for a pause as long as it may."""
        return self.waited_ms >= 1000 * self.longest_wait_s


class Prompts:
    """One session's, first come first served. They wait until nobody speaks; who speaks over one at once goes first.

    One that has waited its longest is spoken as soon as there is no turn, whoever talks. While somebody's turn does not
    end, it is given up.
    """

    def __init__(self) -> None:
        self._waiting: deque[Prompt] = deque()
        self._current: Prompt | None = None
        self._over = False

    @property
    def current(self) -> Prompt | None:
        """The one that is a turn at this moment."""
        return self._current

    def add(self, text: str, *, asked: bool, longest_wait_s: float = FOR_EVER_S) -> asyncio.Future[TurnEnded]:
        """Let a text wait for its turn. Raises BusyError when too many wait already, EndedError after `cancel`.

        The future raises BusyError if it was given up.
        """
        if self._over:
            raise EndedError("this conversation has ended; begin another one.")
        if len(self._waiting) >= _MOST_WAITING:
            raise BusyError(f"{_MOST_WAITING} texts wait to be spoken already; try again when some have been.")
        prompt = Prompt(text, asked, longest_wait_s)
        self._waiting.append(prompt)
        return prompt.ended

    def take(self, state: State, *, quiet: bool) -> Prompt | None:
        """Make the next one the current one, where the conversation lets it; to be called at every frame.

        Who has given up waiting for one is left out. `quiet`: nobody is heard.
        """
        while self._waiting and self._waiting[0].ended.cancelled():
            self._waiting.popleft()
        if not quiet and (state is State.IDLE or state in _USERS_TURN):
            for prompt in self._waiting:
                prompt.waited_ms += FRAME_MS
        if state in _USERS_TURN:
            self._give_up()
        elif state is State.IDLE and self._waiting and (quiet or self._waiting[0].insists):
            self._current = self._waiting.popleft()
            return self._current
        return None

    def goes_first(self, state: State, *, attentive: bool) -> bool:
        """Return whether who speaks now, before the current one is audible, has to wait for it.

        So has whoever is not listened to anyhow, and everybody once it has waited for so long.
        """
        prompt = self._current
        return prompt is not None and state is State.THINKING and (prompt.insists or not attentive)

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

    def _give_up(self) -> None:
        """Refuse those that have waited for so long."""
        for prompt in [each for each in self._waiting if each.insists]:
            self._waiting.remove(prompt)
            if not prompt.ended.done():
                why = f"somebody has talked for {prompt.longest_wait_s:.0f} s without an end; try again later."
                _log.warning("a text was not spoken: %s", why)
                prompt.ended.set_exception(BusyError(why))
