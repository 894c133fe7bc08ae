"""What is still to be told of the present: the latest of each kind, and a few that were not sent yet."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from voicebot.interfaces.mqtt.topics import Message

_MOST_UNSENT: Final = 128


class Board:
    """Where the broker is slow or away, the oldest are dropped: what comes later tells more."""

    def __init__(self) -> None:
        self._latest: dict[str, Message] = {}
        self._unsent: deque[Message] = deque(maxlen=_MOST_UNSENT)
        self._filled = asyncio.Event()

    def put(self, message: Message) -> None:
        """Let a message be sent, unless the broker keeps the same already. Never blocks."""
        if message.retain and self._latest.get(message.topic) == message:
            return
        if message.lasting:
            self._latest[message.topic] = message
        self._unsent.append(message)
        self._filled.set()

    def repeat(self) -> None:
        """Let all that holds be told again, and nothing else."""
        self._unsent.clear()
        self._unsent.extend(self._latest.values())
        self._filled.set()

    async def take(self) -> Message:
        """Return the next message, and wait for it."""
        while not self._unsent:
            self._filled.clear()
            await self._filled.wait()
        return self._unsent.popleft()
