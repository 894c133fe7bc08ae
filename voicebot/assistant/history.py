"""The conversation so far: what the user said, and of each reply what was heard."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from voicebot.engines.protocols import Message

_MOST_EXCHANGES: Final = 200
"""Far beyond any context; the engine leaves out the oldest that do not fit. This only bounds memory over days."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A committed turn. `heard` is the part of the reply that was really played; it may be empty."""

    user: str
    heard: str
    unsure: bool = False
    """The reply asked whether the words were understood."""


class History:
    """One session's exchanges, oldest first."""

    def __init__(self, system_prompt: str) -> None:
        self._system = Message("system", system_prompt)
        self._exchanges: deque[Exchange] = deque(maxlen=_MOST_EXCHANGES)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """What was said so far."""
        return tuple(self._exchanges)

    @property
    def asked_back(self) -> str | None:
        """The user's words that the last reply asked about, if it did."""
        last = self._exchanges[-1] if self._exchanges else None
        return last.user if last is not None and last.unsure and last.heard else None

    def add(self, user: str, heard: str, *, unsure: bool = False) -> None:
        """Remember a turn that has ended; not if it ended before the user's words were known."""
        if user:
            self._exchanges.append(Exchange(user, heard, unsure))

    def messages(self, user: str | None = None) -> tuple[Message, ...]:
        """Return the conversation for a model, ending with `user` when that is given.

        A reply of which nothing was heard is left out, and what the user said before and after it becomes one
        message, since models are trained on speakers who alternate.
        """
        messages = [self._system]
        for exchange in self._exchanges:
            _append(messages, Message("user", exchange.user))
            if exchange.heard:
                messages.append(Message("assistant", exchange.heard))
        if user is not None:
            _append(messages, Message("user", user))
        return tuple(messages)


def _append(messages: list[Message], message: Message) -> None:
    if messages[-1].role == message.role:
        message = Message(message.role, f"{messages.pop().content}\n{message.content}")
    messages.append(message)
