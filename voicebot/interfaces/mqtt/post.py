"""The outbox for those who may not block: the disk's time is spent in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from voicebot.interfaces.mqtt.outbox import Letter, Outbox
from voicebot.interfaces.mqtt.topics import Message


class Post:
    """`put` returns at once; `run` writes down what was put, and then `next` has it."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._put = asyncio.Event()
        self._written = asyncio.Event()

    def put(self, event: Message) -> None:
        """Take an event to deliver."""
        self._outbox.put(event)
        self._put.set()

    async def run(self) -> None:
        """Write down what is put in; at the end, all of it."""
        try:
            while True:
                await self._put.wait()
                self._put.clear()
                await asyncio.to_thread(self._outbox.write)
                self._written.set()
        finally:
            await asyncio.to_thread(self._outbox.close)

    async def next(self, most: int) -> list[Letter]:
        """Return the oldest few events, and wait until there are any."""
        while True:
            self._written.clear()
            if letters := await asyncio.to_thread(self._outbox.oldest, most):
                return letters
            await self._written.wait()

    async def arrived(self, letters: Iterable[Letter]) -> None:
        """Forget events that the broker has."""
        await asyncio.to_thread(self._outbox.remove, letters)
