"""A worker that does not come up: at first it is refused, later it is tried again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.workers.rig import make, order, said, serving, within
from voicebot.clock import LoopClock
from voicebot.errors import EngineError, WorkerDiedError
from voicebot.events import WorkerChanged
from voicebot.workers.supervisor import WorkerOrder

pytestmark = pytest.mark.usefixtures("_nothing_left")


async def test_a_worker_that_cannot_load_at_first_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and then nothing")
    rig = make(WorkerOrder("slm", broken, {"engine": "llama"}, 1, 1))
    await within(rig.supervisor.run())
    with pytest.raises(EngineError, match=r"^llama\.cpp can't load .*broken\.gguf; it is damaged"):
        await rig.supervisor.ready()
    with pytest.raises(EngineError, match="damaged"):
        await rig.texts()
    assert rig.states == ["loading", "died"]
    assert "damaged" in rig.reported[-1].reason
    assert rig.supervisor.pid is None


def kill_while_it_loads(event: WorkerChanged) -> None:
    if event.state == "loading":
        assert event.pid is not None
        os.kill(event.pid, signal.SIGKILL)


def stop_while_it_loads(event: WorkerChanged) -> None:
    if event.state == "loading":
        assert event.pid is not None
        os.kill(event.pid, signal.SIGSTOP)


async def test_a_worker_that_dies_while_it_loads_at_first_is_refused() -> None:
    rig = make(order())
    rig.reactions.append(kill_while_it_loads)
    await within(rig.supervisor.run())
    with pytest.raises(EngineError, match=r"ended while it loaded \(exit code -9\)\.$"):
        await rig.supervisor.ready()


async def test_a_worker_that_loads_for_too_long_at_first_is_refused() -> None:
    rig = make(order(), start_timeout_s=0.3)
    rig.reactions.append(stop_while_it_loads)
    await within(rig.supervisor.run())
    with pytest.raises(EngineError, match=r"did not load within 0\.3 s\.$"):
        await rig.supervisor.ready()


async def test_a_process_that_cannot_be_started_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    rig = make(order())
    await within(rig.supervisor.run())
    with pytest.raises(EngineError, match=r"^the slm worker can't be started \(.*\)\.$"):
        await rig.supervisor.ready()
    assert rig.states == []


async def test_a_replacement_that_fails_is_tried_again() -> None:
    async with serving() as rig:
        rig.reactions.append(kill_while_it_loads)
        rig.signal(signal.SIGKILL)
        await rig.until(lambda: rig.states.count("loading") >= 3)
        rig.reactions.clear()
        assert "".join(await rig.texts("a b")) == said("a b")
    assert rig.states.count("died") >= 2
    assert "ended while it loaded (exit code -9)" in rig.reported[4].reason


async def test_a_request_does_not_wait_without_end_for_a_replacement() -> None:
    async with serving(request_timeout_s=0.3) as rig:
        rig.reactions.append(stop_while_it_loads)
        rig.signal(signal.SIGKILL)
        await rig.until(lambda: rig.states[2:] == ["died", "loading"])
        with pytest.raises(WorkerDiedError):
            await rig.texts()
        rig.reactions.clear()
        assert rig.reported[-1].pid is not None
        os.kill(rig.reported[-1].pid, signal.SIGCONT)
        await rig.until(lambda: rig.states[-1] == "ready")


async def test_a_replacement_is_not_tried_in_a_hurry() -> None:
    class NotingClock(LoopClock):
        def __init__(self) -> None:
            self.waits_s: list[float] = []

        async def sleep_s(self, duration_s: float) -> None:
            self.waits_s.append(duration_s)
            await asyncio.sleep(0)

    clock = NotingClock()
    async with serving(clock=clock) as rig:
        rig.reactions.append(kill_while_it_loads)
        rig.signal(signal.SIGKILL)
        await rig.until(lambda: len(clock.waits_s) >= 8)
    assert clock.waits_s[:4] == pytest.approx([0, 0.1, 0.3, 0.7])
    assert max(clock.waits_s) == 5.0
