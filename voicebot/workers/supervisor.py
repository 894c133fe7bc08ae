"""Keeps one stage's worker process alive, and carries requests to it and replies back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from voicebot.clock import Clock
from voicebot.config.box import WorkerSettings
from voicebot.errors import EngineError, WorkerDiedError
from voicebot.events import Observer, WorkerChanged
from voicebot.workers.flags import FLAG_COUNT, CancelFlags
from voicebot.workers.wire import Header, encode, read_frame

_log = logging.getLogger(__name__)
_MOST_REPLIES: Final = 8192
"""Replies that may wait to be taken: more than the longest generation has."""
_STOP_GRACE_S: Final = 1.0
_LONGEST_BACK_OFF_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """What a worker is to load."""

    stage: str
    model: Path
    settings: Mapping[str, Any]
    threads: int
    prefill_threads: int

    def header(self) -> Header:
        """Return the order as the first frame's header."""
        return {
            "stage": self.stage,
            "model": str(self.model),
            "settings": dict(self.settings),
            "threads": self.threads,
            "prefill_threads": self.prefill_threads,
        }


@dataclass(frozen=True, slots=True)
class Reply:
    """One item of the answer to a request."""

    item: Header
    payload: bytes


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None


class _Incarnation:
    """One life of the process: its socket, its flags and the requests it has not answered."""

    def __init__(self, process: asyncio.subprocess.Process, flags: CancelFlags) -> None:
        self.process = process
        self.flags = flags
        self.pending: dict[int, tuple[int, asyncio.Queue[Reply | _End]]] = {}
        self.free_flags: asyncio.Queue[int] = asyncio.Queue(FLAG_COUNT)
        for index in range(FLAG_COUNT - 1):
            self.free_flags.put_nowait(index)
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def open(self, ours: socket.socket) -> None:
        self.reader, self.writer = await asyncio.open_connection(sock=ours)

    def finish(self, number: int, error: Exception | None) -> None:
        flag, replies = self.pending.pop(number)
        self.flags[flag].clear()
        self.free_flags.put_nowait(flag)
        replies.put_nowait(_End(error))

    def fail_all(self, error: Exception) -> None:
        for number in list(self.pending):
            self.finish(number, error)


class Supervisor:
    """One stage's worker. `run` has to be kept running by an owner; everything else waits for it."""

    def __init__(self, order: WorkerOrder, clock: Clock, observer: Observer, timeouts: WorkerSettings) -> None:
        self._order = order
        self._clock = clock
        self._observer = observer
        self._timeouts = timeouts
        self._current: _Incarnation | None = None
        self._ready = asyncio.Event()
        self._refused: EngineError | None = None
        self._next_number = 0

    @property
    def pid(self) -> int | None:
        """The worker's process id while there is one."""
        return None if self._current is None else self._current.process.pid

    async def ready(self) -> None:
        """Wait until the engine is loaded and warm. Raises EngineError when it can't be."""
        await self._ready.wait()
        if self._refused is not None:
            raise self._refused

    async def run(self) -> None:
        """Start the worker, and start it again whenever it dies, until cancelled."""
        back_off_s = 0.0
        while True:
            await self._clock.sleep_s(back_off_s)
            began_s = self._clock.now_s()
            try:
                await self._live()
            except EngineError as error:
                if not self._ready.is_set():
                    self._refused = error
                    self._ready.set()
                    return
                _log.error("%s", error)
            lived_s = self._clock.now_s() - began_s
            back_off_s = 0.0 if lived_s > _LONGEST_BACK_OFF_S else min(_LONGEST_BACK_OFF_S, 2 * back_off_s + 0.1)

    async def request(self, header: Header, payload: bytes = b"") -> AsyncGenerator[Reply, None]:
        """Send a request and yield its replies. Leaving the iteration early cancels the work.

        Raises WorkerDiedError when the process dies meanwhile, EngineError when the engine fails.
        """
        await self.ready()
        life = self._current
        if life is None:
            raise self._died()
        flag = await life.free_flags.get()
        number, self._next_number = self._next_number, self._next_number + 1
        replies: asyncio.Queue[Reply | _End] = asyncio.Queue(_MOST_REPLIES)
        life.pending[number] = (flag, replies)
        try:
            with contextlib.suppress(ConnectionError):
                life.writer.write(encode({**header, "id": number, "flag": flag}, payload))
                await life.writer.drain()
            while isinstance(reply := await self._next(life, replies), Reply):
                yield reply
            if reply.error is not None:
                raise reply.error
        finally:
            if number in life.pending:
                life.flags[flag].request()

    async def _next(self, life: _Incarnation, replies: asyncio.Queue[Reply | _End]) -> Reply | _End:
        try:
            async with asyncio.timeout(self._timeouts.request_timeout_s):
                return await replies.get()
        except TimeoutError as error:
            _log.error("the %s worker hangs; it is killed and replaced", self._order.stage)
            life.process.kill()
            raise self._died() from error

    async def _live(self) -> None:
        """Run one life of the process, from its start to its end."""
        ours, theirs = socket.socketpair()
        flags = CancelFlags.create()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "voicebot.workers.host",
                *map(str, (theirs.fileno(), flags.descriptor, os.getpid())),
                pass_fds=(theirs.fileno(), flags.descriptor),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=2,
                env=_environment(),
            )
        life = _Incarnation(process, flags)
        reason = "stopped"
        try:
            await life.open(ours)
            await self._load(life)
            reason = await self._dispatch(life)
        finally:
            self._current = None
            if self._refused is None and self._ready.is_set():
                self._ready.clear()
            life.fail_all(self._died())
            await _end(life)
            state = "stopped" if reason == "stopped" else "died"
            self._observer(WorkerChanged(self._order.stage, state, process.pid, reason))

    async def _load(self, life: _Incarnation) -> None:
        self._observer(WorkerChanged(self._order.stage, "loading", life.process.pid, ""))
        life.writer.write(encode(self._order.header()))
        try:
            async with asyncio.timeout(self._timeouts.start_timeout_s):
                answer = await read_frame(life.reader)
        except TimeoutError as error:
            raise EngineError(
                f"the {self._order.stage} worker did not load within {self._timeouts.start_timeout_s} s."
            ) from error
        if answer is None:
            code = await life.process.wait()
            raise EngineError(f"the {self._order.stage} worker ended while it loaded (exit code {code}).")
        if "failed" in answer[0]:
            raise EngineError(answer[0]["failed"])
        self._current = life
        self._ready.set()
        self._observer(WorkerChanged(self._order.stage, "ready", life.process.pid, ""))

    async def _dispatch(self, life: _Incarnation) -> str:
        """Hand replies to whoever asked, until the process is gone; returns why it went."""
        try:
            while (frame := await read_frame(life.reader)) is not None:
                header, payload = frame
                number = header["id"]
                if "item" in header:
                    life.pending[number][1].put_nowait(Reply(header["item"], payload))
                else:
                    failed = header["end"] == "failed"
                    life.finish(number, EngineError(header["reason"]) if failed else None)
        except WorkerDiedError as error:
            return str(error)
        code = await life.process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _died(self) -> WorkerDiedError:
        return WorkerDiedError(f"the {self._order.stage} worker died; it is being replaced, ask again.")


async def _end(life: _Incarnation) -> None:
    """Let the process go, by the end of its socket first and by force after a moment."""
    for flag, _ in life.pending.values():
        life.flags[flag].request()
    life.writer.close()
    try:
        async with asyncio.timeout(_STOP_GRACE_S):
            await life.process.wait()
    except TimeoutError:
        life.process.kill()
        await life.process.wait()
    finally:
        if life.process.returncode is None:
            life.process.kill()
        life.flags.close()


def _environment() -> dict[str, str]:
    """Return the daemon's environment, with OpenMP told to let idle threads sleep soon.

    Threads that spin after their work would take the cores from the stage that comes next.
    """
    return {"GOMP_SPINCOUNT": "20000", "HF_HUB_OFFLINE": "1", **os.environ}
