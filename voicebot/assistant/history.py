"""The conversation so far: what the user said, and of each reply what was heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from voicebot.assistant.facts import Fact
from voicebot.engines.protocols import Message

LEFT_OUT: Final = "(Earlier parts are left out.)"
"""Stands for exchanges of which there is no summary."""

_MOST_EXCHANGES: Final = 200
"""Far beyond any context. This only bounds memory over days."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A committed turn. `heard` is the part of the reply that was really played; it may be empty."""

    user: str
    heard: str
    unsure: bool = False
    """The reply asked whether the words were understood."""

    def messages(self) -> tuple[Message, ...]:
        """Return it for a model; a reply of which nothing was heard is left out."""
        user = Message("user", self.user)
        return (user, Message("assistant", self.heard)) if self.heard else (user,)


@dataclass(frozen=True, slots=True)
class Notes:
    """What a model is told instead of the oldest exchanges."""

    summary: str = ""
    left_out: bool = False
    """Some of them are in no summary."""
    facts: tuple[Fact, ...] = ()
    """What the user stated in them, to be kept in his own words."""

    @property
    def text(self) -> str:
        """The notes as a paragraph."""
        parts = [self.summary] if self.summary else []
        lines = [" ".join(["Earlier in this conversation:", *parts, *([LEFT_OUT] if self.left_out else [])])]
        if self.facts:
            quoted = [f'"{fact.text}"' for fact in self.facts]
            lines.append(f"The user said: {', '.join(quoted)}.")
        return "\n".join(lines)


class History:
    """One session's exchanges, oldest first. The oldest may be compacted: the model is then shown notes of them."""

    def __init__(self, system_prompt: str) -> None:
        self._system_prompt = system_prompt
        self._exchanges: deque[Exchange] = deque(maxlen=_MOST_EXCHANGES)
        self._compacted = 0
        self._notes: Notes | None = None

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """What was said so far, compacted or not."""
        return tuple(self._exchanges)

    @property
    def open_exchanges(self) -> tuple[Exchange, ...]:
        """Those that a model is shown as they were."""
        return self.exchanges[self._compacted :]

    @property
    def notes(self) -> Notes | None:
        """What a model is told of the others; None when there are none."""
        return self._notes

    @property
    def asked_back(self) -> str | None:
        """The user's words that the last reply asked about, if it did."""
        last = self._exchanges[-1] if self._exchanges else None
        return last.user if last is not None and last.unsure and last.heard else None

    def add(self, user: str, heard: str, *, unsure: bool = False) -> None:
        """Remember a turn that has ended; not if it ended before the user's words were known."""
        if user:
            if len(self._exchanges) == _MOST_EXCHANGES:
                self._compacted = max(0, self._compacted - 1)
            self._exchanges.append(Exchange(user, heard, unsure))

    def compact(self, exchanges: Sequence[Exchange], notes: Notes) -> bool:
        """Let notes stand for these exchanges and all before them; not if they are not the oldest open ones."""
        if self.open_exchanges[: len(exchanges)] != tuple(exchanges):
            return False
        self._compacted += len(exchanges)
        self._notes = notes
        return True

    def system(self, notes: Notes | None) -> Message:
        """Return the message that opens the conversation.

        Notes come last in it, so that its beginning stays the same, and speakers alternate after it.
        """
        return Message("system", self._system_prompt if notes is None else f"{self._system_prompt}\n\n{notes.text}")

    def messages(self, user: str | None = None) -> tuple[Message, ...]:
        """Return the conversation for a model, ending with `user` when that is given.

        A reply of which nothing was heard is left out, and what the user said before and after it becomes one
        message, since models are trained on speakers who alternate.
        """
        messages = [self.system(self._notes)]
        for exchange in self.open_exchanges:
            for message in exchange.messages():
                _append(messages, message)
        if user is not None:
            _append(messages, Message("user", user))
        return tuple(messages)


def _append(messages: list[Message], message: Message) -> None:
    if messages[-1].role == message.role:
        message = Message(message.role, f"{messages.pop().content}\n{message.content}")
    messages.append(message)
