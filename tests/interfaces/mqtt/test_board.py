"""What is still to be told of the present."""

from __future__ import annotations

import asyncio

from voicebot.interfaces.mqtt.board import Board
from voicebot.interfaces.mqtt.topics import Message


async def taken(board: Board) -> list[str]:
    payloads: list[str] = []
    try:
        while True:
            async with asyncio.timeout(0.01):
                payloads.append((await board.take()).payload)
    except TimeoutError:
        return payloads


async def test_messages_are_told_in_order() -> None:
    board = Board()
    for number in range(3):
        board.put(Message("box/reply", str(number)))
    assert await taken(board) == ["0", "1", "2"]


async def test_who_waits_gets_the_next_one() -> None:
    board = Board()
    waiting = asyncio.create_task(board.take())
    await asyncio.sleep(0)
    board.put(Message("box/reply", "hello"))
    assert (await waiting).payload == "hello"


async def test_a_state_that_has_not_changed_is_not_told_again() -> None:
    board = Board()
    for payload in ("idle", "idle", "thinking", "idle"):
        board.put(Message("box/state", payload, retain=True))
    assert await taken(board) == ["idle", "thinking", "idle"]


async def test_only_the_newest_are_kept_for_a_broker_that_is_slow() -> None:
    board = Board()
    for number in range(1000):
        board.put(Message("box/reply", str(number)))
    assert await taken(board) == [str(number) for number in range(872, 1000)]


async def test_all_that_holds_is_told_again_and_no_more() -> None:
    board = Board()
    board.put(Message("box/state", "idle", retain=True))
    board.put(Message("box/reply", "old"))
    board.put(Message("box/reply", "new"))
    board.put(Message("box/transcript/partial", "wha", lasting=False))
    board.repeat()
    assert await taken(board) == ["idle", "new"]
