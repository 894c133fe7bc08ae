"""Enter is the button of push to talk."""

from __future__ import annotations

import asyncio
import os
from typing import BinaryIO, cast

import pytest

from voicebot.cli.talk import listen_at_enter
from voicebot.clock import LoopClock
from voicebot.pipeline.session import Session

PATIENCE_S = 30.0


class Pressed:
    def __init__(self) -> None:
        self.times = 0

    def listen(self) -> None:
        self.times += 1


async def press(keys: BinaryIO, times: int) -> int:
    """Press Enter so often, and then end the input; return how often that called the assistant."""
    session = Pressed()
    listen_at_enter(cast("Session", session))
    async with asyncio.timeout(PATIENCE_S):
        for time in range(times):
            keys.write(b"\n")
            while session.times <= time:
                await LoopClock().sleep_s(0.001)
    keys.write(b"\x04")  # Ctrl-D
    await LoopClock().sleep_s(0.01)
    return session.times


def test_enter_calls_the_assistant(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard, terminal = os.openpty()
    with os.fdopen(terminal) as stdin, os.fdopen(keyboard, "wb", buffering=0) as keys:
        monkeypatch.setattr("sys.stdin", stdin)
        assert asyncio.run(press(keys, 2)) == 2


def test_without_a_keyboard_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    out, into = os.pipe()
    with os.fdopen(out) as stdin, os.fdopen(into, "wb", buffering=0) as keys:
        monkeypatch.setattr("sys.stdin", stdin)
        assert asyncio.run(press(keys, 0)) == 0
