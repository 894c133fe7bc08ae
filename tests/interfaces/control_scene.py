"""A daemon with scripted engines and its control socket, and somebody who writes to it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.replayed import SCRIPTED
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import LoopClock
from voicebot.config.box import SessionSettings
from voicebot.config.control import ControlSettings
from voicebot.config.pipeline import PipelineSettings
from voicebot.config.runtime import control_path
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import ScriptedModel
from voicebot.events import Event
from voicebot.interfaces.control import ControlSocket
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.service import Service
from voicebot.interfaces.watchers import Watchers


@dataclass
class Daemon:
    """What answers at the socket."""

    service: Service
    control: ControlSocket
    watchers: Watchers
    path: Path
    ports: dict[str, ReplayPort]
    needs_restart: list[str] | Exception = field(default_factory=list)

    async def reload(self) -> list[str]:
        if isinstance(self.needs_restart, Exception):
            raise self.needs_restart
        return self.needs_restart

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Client, None]:
        reader, writer = await asyncio.open_unix_connection(self.path, limit=2**22)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()

    async def ask(self, request: str, **fields: Any) -> dict[str, Any]:
        """Connect, ask for one thing, and return the answer."""
        async with self.client() as client:
            return await client.ask(request, **fields)


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: str, **fields: Any) -> dict[str, Any]:
        self.send(request, **fields)
        return await self.answer()

    def send(self, request: str, **fields: Any) -> None:
        self.writer.write(json.dumps({"request": request, **fields}).encode() + b"\n")

    async def answer(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await self.reader.readline())
        return answer

    async def is_hung_up(self) -> bool:
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(60):
        while not condition():
            await LoopClock().sleep_s(0.001)


@asynccontextmanager
async def serving(
    folder: Path,
    settings: ControlSettings | None = None,
    sessions: tuple[str, ...] = ("local",),
    slm: ScriptedModel | None = None,
    pipeline: PipelineSettings = SCRIPTED,
) -> AsyncGenerator[Daemon, None]:
    """Serve at a folder's socket while the block runs, with open conversations in which nobody speaks."""
    watchers = Watchers()
    kept = await asyncio.to_thread(KeptState, folder / "state/kept.json", _in_thread)
    service = Service(scripted_stages(LoopClock(), slm=slm), pipeline, SessionSettings(), watchers, kept)

    async def reload() -> list[str]:
        return await daemon.reload()

    control = ControlSocket(settings or ControlSettings(), service, control_path(folder), reload)
    ports = {name: ReplayPort(LoopClock()) for name in sessions}
    daemon = Daemon(service, control, watchers, control_path(folder), ports)
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(control.run()),
            *(group.create_task(_talk(service, *one)) for one in ports.items()),
        ]
        await control.listening.wait()
        await until(lambda: len(service.sessions) == len(sessions))
        try:
            yield daemon
        finally:
            for task in running:
                task.cancel()


def _in_thread(write: Callable[[], None]) -> None:
    asyncio.get_running_loop().run_in_executor(None, write)


async def _talk(service: Service, name: str, port: ReplayPort) -> None:
    async with service.open_session(name, port):
        await asyncio.Event().wait()


@dataclass
class Elsewhere:
    """A daemon in a thread of its own, for who blocks."""

    folder: Path
    sessions: tuple[str, ...] = ("local",)
    slm: ScriptedModel | None = None
    pipeline: PipelineSettings = SCRIPTED
    daemon: Daemon | None = None
    _up: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _over: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._up.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._thread.join(60)

    def end(self) -> None:
        assert self._loop is not None
        assert self._over is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._over.set)

    def tell_watchers(self, event: Event, *, then_end: bool = False) -> None:
        """Let an event happen as soon as somebody watches."""
        daemon = self.daemon
        assert daemon is not None
        assert self._loop is not None

        async def tell() -> None:
            await until(lambda: daemon.service.status()["control"]["watching"] == 1)
            daemon.watchers(event)
            if then_end:
                self.end()

        asyncio.run_coroutine_threadsafe(tell(), self._loop)

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with serving(self.folder, None, self.sessions, self.slm, self.pipeline) as self.daemon:
            self._up.set()
            await self._over.wait()
