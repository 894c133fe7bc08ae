"""Workers of scripted engines: real processes, real sockets, no models."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from voicebot.clock import LoopClock
from voicebot.config.box import WorkerSettings
from voicebot.events import Event, WorkerChanged
from voicebot.workers.supervisor import Supervisor, WorkerOrder

LONG_S = 60.0
"""A bound for what takes a moment, on a machine that has a bad minute."""


def order(stage: str = "slm", **settings: Any) -> WorkerOrder:
    return WorkerOrder(stage, Path(), {"engine": "scripted", **settings}, 1, 1)


class ImpatientClock(LoopClock):
    """Never waits, so that a worker that dies young is replaced at once."""

    async def sleep_s(self, duration_s: float) -> None:
        del duration_s
        await asyncio.sleep(0)


@dataclass
class Rig:
    """A supervisor, what it reported, and what the test wants to happen when it reports."""

    supervisor: Supervisor
    reported: list[WorkerChanged]
    reactions: list[Callable[[WorkerChanged], None]]
    running: asyncio.Task[None] = field(init=False)

    @property
    def states(self) -> list[str]:
        return [event.state for event in self.reported]

    @property
    def pid(self) -> int:
        assert self.supervisor.pid is not None
        return self.supervisor.pid

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def texts(self, words: str = "a b c", most: int = 100) -> list[str]:
        """Ask the scripted model and return its pieces."""
        header = generate(words, most)
        async with asyncio.timeout(LONG_S), aclosing(self.supervisor.request(header)) as replies:
            return [reply.item["text"] async for reply in replies]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what other tasks or processes are about to do."""
        async with asyncio.timeout(LONG_S):
            while not condition():  # noqa: ASYNC110 - the kernel sets no asyncio.Event
                await asyncio.sleep(0.005)


def generate(words: str, most: int) -> dict[str, Any]:
    """Return the header of a request for a reply."""
    return {"op": "generate", "messages": [["user", words]], "max_tokens": most, "begun": ""}


def said(words: str) -> str:
    return f"You said: {words}."


def make(
    ordered: WorkerOrder,
    *,
    request_timeout_s: float = LONG_S,
    start_timeout_s: float = LONG_S,
    heartbeat_s: float = LONG_S,
    clock: LoopClock | None = None,
) -> Rig:
    reported: list[WorkerChanged] = []
    reactions: list[Callable[[WorkerChanged], None]] = []

    def observe(event: Event) -> None:
        assert isinstance(event, WorkerChanged)
        reported.append(event)
        for reaction in reactions:
            reaction(event)

    timeouts = WorkerSettings(
        start_timeout_s=start_timeout_s, request_timeout_s=request_timeout_s, heartbeat_s=heartbeat_s
    )
    return Rig(Supervisor(ordered, clock or ImpatientClock(), observe, timeouts), reported, reactions)


@asynccontextmanager
async def serving(ordered: WorkerOrder | None = None, **options: Any) -> AsyncIterator[Rig]:
    """Run a worker inside the block; it is ready when the block is entered, and gone after it."""
    rig = make(ordered or order(), **options)
    rig.running = asyncio.create_task(rig.supervisor.run())
    try:
        await within(rig.supervisor.ready())
        yield rig
    finally:
        rig.running.cancel()
        await asyncio.wait([rig.running])


async def within(what: Awaitable[None]) -> None:
    async with asyncio.timeout(LONG_S):
        await what


def children() -> list[int]:
    """Return the process ids of this process's children, dead ones that nobody fetched included."""
    return [child.pid for child in psutil.Process().children()]


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not read
