"""The Wyoming server over loopback, with scripted stages, and a client nobody here wrote: the protocol's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event, Eventable

from tests.replayed import SCRIPTED
from tests.virtual_conversation import CLOCK, tasks_left
from voicebot.audio import SAMPLE_RATE_HZ, Pcm
from voicebot.config.box import SessionSettings
from voicebot.config.pipeline import PipelineSettings
from voicebot.config.wyoming import WyomingSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.registry import load_wake_word
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.service import Service
from voicebot.interfaces.watchers import Watchers
from voicebot.interfaces.wyoming.server import Wyoming
from voicebot.interfaces.wyoming.wake import MakeWakeWord
from voicebot.pipeline.stages import Stages

PATIENCE_S = 60.0


class Serving:
    """A server that runs."""

    def __init__(self, server: Wyoming, service: Service) -> None:
        self.server = server
        self.service = service

    @property
    def port(self) -> int:
        assert self.server.listening is not None
        return self.server.listening.port

    def connected(self) -> AsyncTcpClient:
        """Return a client, to be entered."""
        return AsyncTcpClient("127.0.0.1", self.port, connect_timeout=PATIENCE_S, read_timeout=PATIENCE_S)


@asynccontextmanager
async def serving(
    kept: KeptState,
    stages: Stages | None = None,
    pipeline: PipelineSettings = SCRIPTED,
    sessions: SessionSettings | None = None,
    make_wake_word: MakeWakeWord = load_wake_word,
    **settings: Any,
) -> AsyncGenerator[Serving, None]:
    """Run a server inside the block. Asserts that nothing of it is left behind."""
    service = Service(stages or scripted_stages(CLOCK), pipeline, sessions or SessionSettings(), Watchers(), kept)
    server = Wyoming(WyomingSettings(enabled=True, **{"port": 0} | settings), service, make_wake_word=make_wake_word)
    before = tasks_left()
    running = asyncio.create_task(server.run())
    try:
        await until(lambda: server.listening is not None)
        yield Serving(server, service)
    finally:
        running.cancel()
        await asyncio.wait({running})
    assert running.cancelled()
    assert {task for task in tasks_left() - before if not task.startswith("fake ")} == set()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await CLOCK.sleep_s(0.002)


def audio(pcm: Pcm, rate: int = SAMPLE_RATE_HZ, chunk: int = 1024) -> list[Eventable]:
    """Return a whole utterance as it is sent: mono int16."""
    form = {"rate": rate, "width": 2, "channels": 1}
    chunks = [AudioChunk(**form, audio=pcm[at : at + chunk].tobytes()) for at in range(0, len(pcm), chunk)]
    return [AudioStart(**form), *chunks, AudioStop()]


async def send(client: AsyncTcpClient, *events: Eventable) -> None:
    for event in events:
        await client.write_event(event.event())


async def read_until(client: AsyncTcpClient, kind: str) -> list[Event]:
    """Return all events up to the first of that kind. Asserts that it comes."""
    found: list[Event] = []
    while not found or found[-1].type != kind:
        event = await client.read_event()
        assert event is not None, f"the connection ended after {[one.type for one in found]}"
        assert event.type != "error" or kind == "error", event.data
        found.append(event)
    return found


def of(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event.type == kind]


def joined(events: list[Event], kind: str) -> str:
    """Return the texts of one kind of event, one after the other."""
    return "".join(event.data["text"] for event in of(events, kind))
