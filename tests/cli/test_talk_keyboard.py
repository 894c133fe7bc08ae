"""Enter is the button of push to talk."""

from __future__ import annotations

import os
from typing import cast

import pytest

from voicebot.cli.talk import listen_at_enter
from voicebot.clock import LoopClock
from voicebot.pipeline.session import Session


class Pressed:
    def __init__(self) -> None:
        self.times = 0

    def listen(self) -> None:
        self.times += 1


async def test_enter_calls_the_assistant_and_the_end_of_input_ends_that(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard, terminal = os.openpty()
    session = Pressed()
    with os.fdopen(terminal) as stdin, os.fdopen(keyboard, "wb", buffering=0) as keys:
        monkeypatch.setattr("sys.stdin", stdin)
        listen_at_enter(cast("Session", session))
        for times in (1, 2):
            keys.write(b"\n")
            while session.times < times:
                await LoopClock().sleep_s(0.001)
        keys.write(b"\x04")  # Ctrl-D
        await LoopClock().sleep_s(0.01)
        keys.write(b"\n")
        await LoopClock().sleep_s(0.01)
    assert session.times == 2


async def test_without_a_keyboard_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    out, into = os.pipe()
    with os.fdopen(out) as stdin, os.fdopen(into, "wb", buffering=0) as keys:
        monkeypatch.setattr("sys.stdin", stdin)
        session = Pressed()
        listen_at_enter(cast("Session", session))
        keys.write(b"\n")
        await LoopClock().sleep_s(0.01)
    assert session.times == 0
