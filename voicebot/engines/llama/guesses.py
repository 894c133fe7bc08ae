"""The guesses at one reply: how long the next one may be, and what became of those that were only watched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from voicebot.engines.llama.drafts import Draft
from voicebot.engines.llama.tokens import common_prefix

_FIRST_TRUST: Final = 3
_LOOK_EVERY: Final = 3
"""Where nothing is repeated, guesses are looked for in every third step: looking takes up to 1 % of one."""


class Guesses:
    """How far what was said before is trusted in this reply.

    A guess that is not worth a longer batch is watched: the next tokens show for nothing whether it was right. So what
    repeats something is found out without a trial, and what only looks like it costs nothing.
    """

    def __init__(self) -> None:
        self._trust = _FIRST_TRUST
        self._proven = True
        self._useless_steps = 0
        self._watched: Draft | None = None
        self._begin = 0

    @property
    def room(self) -> int:
        """How long a guess may be that is tried; 0 where the next one is to prove itself first."""
        return self._trust if self._proven else 0

    def look(self) -> bool:
        """Whether to look for a guess in this step."""
        if self._watched is not None:
            return False
        self._useless_steps += 1
        return self._useless_steps <= _LOOK_EVERY or self._useless_steps % _LOOK_EVERY == 0

    def watch(self, guess: Draft, tokens: int) -> None:
        """See what comes in the place of this guess, which is not tried. `tokens`: how many there are before it."""
        self._watched, self._begin = guess.first(_FIRST_TRUST), tokens

    def watched(self, history: Sequence[int]) -> tuple[Draft, int] | None:
        """Return the guess that was watched, and how many of its tokens came, once all or a wrong one is seen."""
        if self._watched is None:
            return None
        guess, came = self._watched, history[self._begin : self._begin + len(self._watched)]
        right = common_prefix(guess.tokens, came)
        if right == len(came) < len(guess):
            return None
        self._watched = None
        return guess, right

    def judge(self, guessed: int, right: int) -> None:
        """Learn how many tokens of a guess were right, tried or watched.

        As much as was right in a row is trusted next, and after one that was all wrong the next is watched.
        """
        self._trust = self._trust + right if right == guessed else _FIRST_TRUST
        self._proven = right > 0
        if right:
            self._useless_steps = 0
