"""A program of the box's builder: what it is told, and what becomes of one that ends, hangs or can't be started."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from voicebot.clock import LoopClock
from voicebot.interfaces.state_program import StateProgram

PATIENCE_S: Final = 60.0
COPIES: Final = """
import os, sys
with open(sys.argv[1], "a", buffering=1) as file:
    file.write(f"pid={os.getpid()}\\n")
    for line in sys.stdin:
        file.write(line)
    file.write("end\\n")
"""
DEAF: Final = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(f"pid={child.pid}\\n")
time.sleep(600)
"""
"""Reads nothing, does not end by itself, and has a child that does neither."""
NAMES: Final = """
import os, sys
open(sys.argv[1], "w").write(" ".join(sorted(os.environ)))
sys.stdin.read()
"""


class HurriedClock(LoopClock):
    """Does not wait for long, and remembers how long it was to wait. `passing_s` pass between any two looks at it."""

    def __init__(self, passing_s: float = 0.0) -> None:
        self.waits_s: list[float] = []
        self._passing_s = passing_s
        self._now_s = 0.0

    def now_s(self) -> float:
        self._now_s += self._passing_s
        return self._now_s

    async def sleep_s(self, duration_s: float) -> None:
        self.waits_s.append(duration_s)
        await super().sleep_s(0.001)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(*command: str, clock: LoopClock | None = None) -> AsyncIterator[StateProgram]:
    program = StateProgram(command, "idle", clock or LoopClock())
    task = asyncio.create_task(program.run(), name="program")
    try:
        yield program
    finally:
        task.cancel()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([task])
    assert task.cancelled(), task.exception()


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_it_is_told_each_state_and_then_the_end(tmp_path: Path) -> None:
    told = tmp_path / "told"
    async with running(sys.executable, "-c", COPIES, str(told)) as program:
        await until(lambda: lines(told)[1:] == ["idle"])
        program.tell("listening")
        program.tell("thinking")
        await until(lambda: lines(told)[1:] == ["idle", "listening", "thinking"])
    assert lines(told)[1:] == ["idle", "listening", "thinking", "end"]


async def test_one_that_ends_is_started_again_and_told_what_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told, clock = tmp_path / "told", HurriedClock()
    async with running(sys.executable, "-c", COPIES, str(told), clock=clock) as program:
        await until(lambda: lines(told)[1:] == ["idle"])
        program.tell("listening")
        program.tell("muted")
        await until(lambda: lines(told)[-1] == "muted")
        for lives in (2, 3):
            pid = [line for line in lines(told) if line.startswith("pid=")][-1]
            os.kill(int(pid.removeprefix("pid=")), signal.SIGKILL)
            await until(lambda: lines(told).count("muted") == lives)  # noqa: B023 - it is waited for here
    assert [line for line in lines(told) if not line.startswith("pid=")] == [
        *("idle", "listening", "muted", "muted", "muted", "end"),
    ]
    assert len(caplog.records) == 1
    assert "ended with -9" in caplog.text
    assert 0.5 <= clock.waits_s[0] <= 1 <= clock.waits_s[1] <= 2


async def test_one_that_is_not_there_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = HurriedClock()
    async with running("/nowhere/ring", clock=clock):
        await until(lambda: len(clock.waits_s) >= 10)
    (complaint,) = caplog.records
    assert complaint.getMessage().startswith("/nowhere/ring can't be started")
    assert 30 <= clock.waits_s[-1] <= 60


async def test_one_that_had_worked_is_started_soon(caplog: pytest.LogCaptureFixture) -> None:
    clock = HurriedClock(passing_s=60.0)
    async with running("true", clock=clock):
        await until(lambda: len(clock.waits_s) >= 5)
    assert max(clock.waits_s) <= 1
    assert len(caplog.records) == len(clock.waits_s)


async def test_one_that_does_not_read_holds_up_nobody_and_is_ended_with_its_children(tmp_path: Path) -> None:
    told = tmp_path / "told"
    async with running(sys.executable, "-c", DEAF, str(told)) as program:
        await until(lambda: lines(told))
        for _ in range(100_000):  # far more than a pipe holds
            program.tell("listening")
            program.tell("idle")
        await asyncio.sleep(0)
    child = int(lines(told)[0].removeprefix("pid="))
    await until(lambda: not alive(child))


async def test_it_does_not_speak_to_systemd_in_the_daemons_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("RING", "blue")
    async with running(sys.executable, "-c", NAMES, str(told)):
        await until(lambda: lines(told))
    names = lines(told)[0].split()
    assert "RING" in names
    assert "NOTIFY_SOCKET" not in names
