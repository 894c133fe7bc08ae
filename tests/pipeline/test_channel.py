"""The channel: bounded, in order, closable, and nothing lost or left behind when a task is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.clock import run_virtual
from voicebot.pipeline.channel import Channel

TURNS = 10
"""Rounds of the event loop; more than any operation here needs."""


async def settle() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def waiting(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Return a task that has begun, and is shown to wait."""
    task = asyncio.create_task(work)
    await settle()
    assert not task.done()
    return task


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def everything(channel: Channel[int]) -> list[int]:
    return [item async for item in channel]


async def test_items_come_in_the_order_they_were_sent() -> None:
    channel = Channel[int](3)
    for item in (1, 2, 3):
        await channel.send(item)
    await channel.close()
    assert await everything(channel) == [1, 2, 3]


async def test_a_sender_waits_for_room() -> None:
    channel = Channel[int](1)
    await channel.send(1)
    sender = await waiting(channel.send(2))
    assert len(channel) == 1
    assert await anext(channel) == 1
    await sender
    assert await anext(channel) == 2


async def test_a_receiver_waits_for_an_item() -> None:
    channel = Channel[int](1)
    receiver = await waiting(anext(channel))
    await channel.send(1)
    assert await receiver == 1


async def test_what_was_sent_before_the_close_can_still_be_taken() -> None:
    channel = Channel[int](2)
    await channel.send(1)
    await channel.close()
    await channel.close()
    assert await everything(channel) == [1]
    assert await everything(channel) == []


async def test_nothing_can_be_sent_after_the_close() -> None:
    channel = Channel[int](2)
    await channel.close()
    with pytest.raises(RuntimeError, match="closed"):
        await channel.send(1)
    assert len(channel) == 0


async def test_a_close_ends_every_receiver_that_waits() -> None:
    channel = Channel[int](1)
    receivers = [await waiting(everything(channel)) for _ in range(3)]
    await channel.close()
    assert await asyncio.gather(*receivers) == [[], [], []]


async def test_a_close_ends_a_sender_that_waits() -> None:
    channel = Channel[int](1)
    await channel.send(1)
    sender = await waiting(channel.send(2))
    await channel.close()
    with pytest.raises(RuntimeError, match="closed"):
        await sender
    assert await everything(channel) == [1]


async def test_a_cancelled_sender_sends_nothing_and_the_next_one_goes_on() -> None:
    channel = Channel[int](1)
    await channel.send(1)
    first, second = await waiting(channel.send(2)), await waiting(channel.send(3))
    await cancelled(first)
    assert await anext(channel) == 1
    await second
    assert await anext(channel) == 3
    assert len(channel) == 0


async def test_a_cancelled_receiver_takes_nothing_and_the_next_one_goes_on() -> None:
    channel = Channel[int](1)
    first, second = await waiting(anext(channel)), await waiting(anext(channel))
    await cancelled(first)
    await channel.send(1)
    assert await second == 1


async def test_a_receiver_that_is_cancelled_as_its_item_arrives_leaves_it_there() -> None:
    channel = Channel[int](1)
    receiver = await waiting(anext(channel))
    await channel.send(1)
    await cancelled(receiver)
    assert await anext(channel) == 1


async def test_a_sender_that_is_cancelled_as_room_appears_sends_nothing() -> None:
    channel = Channel[int](1)
    await channel.send(1)
    sender = await waiting(channel.send(2))
    assert await anext(channel) == 1
    await cancelled(sender)
    assert len(channel) == 0
    await channel.send(3)
    assert await anext(channel) == 3


@given(st.integers(1, 5), st.lists(st.integers()), st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_everything_arrives_once_and_in_order_at_any_pace(
    capacity: int, items: list[int], send_pauses: list[int], take_pauses: list[int]
) -> None:
    async def send(channel: Channel[int]) -> None:
        for index, item in enumerate(items):
            await asyncio.sleep(send_pauses[index] if index < len(send_pauses) else 0)
            await channel.send(item)
            assert len(channel) <= capacity
        await channel.close()

    async def take(channel: Channel[int]) -> list[int]:
        taken: list[int] = []
        async for item in channel:
            await asyncio.sleep(take_pauses[len(taken)] if len(taken) < len(take_pauses) else 0)
            taken.append(item)
        return taken

    async def main() -> list[int]:
        channel = Channel[int](capacity)
        async with asyncio.TaskGroup() as group:
            group.create_task(send(channel))
            taking = group.create_task(take(channel))
        return taking.result()

    assert run_virtual(main()) == items
