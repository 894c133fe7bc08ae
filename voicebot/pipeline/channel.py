"""A bounded, closable channel between two tasks. When it is full, who sends waits."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")


class Channel(Generic[Item]):
    """Carries items in order from one task to another; `async for` ends when it is closed and empty."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._changed = asyncio.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    async def send(self, item: Item) -> None:
        """Append an item, waiting for room. Raises RuntimeError when the channel is closed."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            if self._closed:
                raise RuntimeError("the channel is closed")
            self._items.append(item)
            self._changed.notify_all()

    async def close(self) -> None:
        """Say that nothing more will come. What is in the channel can still be taken."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or self._items)
            if not self._items:
                raise StopAsyncIteration
            item = self._items.popleft()
            self._changed.notify_all()
            return item
