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
"""Replies of one request that may wait to be taken, far more than a turn has. With one more the request fails."""
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

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        flags: CancelFlags,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.process = process
        self.flags = flags
        self.reader = reader
        self.writer = writer
        self.heard_s = 0.0
        """When its last message came."""
        self.pending: dict[int, tuple[int, asyncio.Queue[Reply | _End]]] = {}
        self.free_flags: asyncio.Queue[int] = asyncio.Queue(FLAG_COUNT)
        for index in range(FLAG_COUNT - 1):
            self.free_flags.put_nowait(index)

    def ask(self, number: int, flag: int) -> asyncio.Queue[Reply | _End]:
        replies: asyncio.Queue[Reply | _End] = asyncio.Queue(_MOST_REPLIES + 1)  # the end has a place of its own
        self.pending[number] = (flag, replies)
        return replies

    def deliver(self, number: int, reply: Reply) -> None:
        flag, replies = self.pending[number]
        if replies.qsize() < _MOST_REPLIES:
            replies.put_nowait(reply)
        elif not replies.full():
            replies.put_nowait(_End(EngineError("the replies were not taken, and the request was given up.")))
            self.flags[flag].request()

    def finish(self, number: int, error: Exception | None) -> None:
        flag, replies = self.pending.pop(number)
        self.flags[flag].clear()
        self.free_flags.put_nowait(flag)
        if not replies.full():
            replies.put_nowait(_End(error))

    def give_up(self, error: Exception) -> None:
        """Fail all requests. Their flags stay raised, so that a process which still works on one ends at once."""
        for number, (flag, _) in list(self.pending.items()):
            self.finish(number, error)
            self.flags[flag].request()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


class Supervisor:
    """One stage's worker. `run` has to be kept running by an owner; everything else waits for it."""

    def __init__(self, order: WorkerOrder, clock: Clock, observer: Observer, timeouts: WorkerSettings) -> None:
        self._order = order
        self._clock = clock
        self._observer = observer
        self._timeouts = timeouts
        self._current: _Incarnation | None = None
        self._ready = asyncio.Event()
        self._loaded_before = False
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
                if not self._loaded_before:
                    self._refused = error
                    self._ready.set()
                    return
                _log.error("%s", error)
            lived_s = self._clock.now_s() - began_s
            back_off_s = 0.0 if lived_s > _LONGEST_BACK_OFF_S else min(_LONGEST_BACK_OFF_S, 2 * back_off_s + 0.1)

    async def request(self, header: Header, payload: bytes = b"") -> AsyncGenerator[Reply, None]:
        """Send a request and yield its replies. Leaving the iteration early cancels the work.

        Raises WorkerDiedError when the process dies meanwhile or is not replaced in time, EngineError when the engine
        fails.
        """
        life = await self._life()
        flag = await life.free_flags.get()
        if life is not self._current:
            life.free_flags.put_nowait(flag)  # for the next one that waits, to find out the same
            raise self._died()
        number, self._next_number = self._next_number, self._next_number + 1
        replies = life.ask(number, flag)
        try:
            # Without drain(), which would wait without end for a process that hangs.
            life.writer.write(encode({**header, "id": number, "flag": flag}, payload))
            while isinstance(reply := await self._next(life, replies), Reply):
                yield reply
            if reply.error is not None:
                raise reply.error
        finally:
            if number in life.pending:
                life.flags[flag].request()

    async def _life(self) -> _Incarnation:
        """Return the process that serves now; a replacement is waited for as long as an answer would be."""
        try:
            async with asyncio.timeout(self._timeouts.request_timeout_s):
                await self.ready()
        except TimeoutError as error:
            raise self._died() from error
        if self._current is None:
            raise self._died()
        return self._current

    async def _next(self, life: _Incarnation, replies: asyncio.Queue[Reply | _End]) -> Reply | _End:
        """Return the next reply. Kills a process that has answered nobody for too long."""
        longest_s = self._timeouts.request_timeout_s
        while True:
            try:
                async with asyncio.timeout(longest_s):
                    return await replies.get()
            except TimeoutError as error:
                if self._clock.now_s() - life.heard_s < longest_s:
                    continue  # it is busy with the requests before this one
                _log.error("the %s worker hangs; it is killed and replaced", self._order.stage)
                life.kill()
                raise self._died() from error

    async def _live(self) -> None:
        """Run one life of the process, from its start to its end. Raises EngineError when it does not load."""
        life = await self._spawn()
        reason = "stopped"
        try:
            await self._load(life)
            reason = await self._dispatch(life)
        except EngineError as error:
            reason = str(error)
            raise
        finally:
            self._current = None
            self._ready.clear()
            life.give_up(self._died())
            await _end(life)
            state = "stopped" if reason == "stopped" else "died"
            self._observer(WorkerChanged(self._order.stage, state, life.process.pid, reason))

    async def _spawn(self) -> _Incarnation:
        with contextlib.ExitStack() as undo:
            flags = CancelFlags.create()
            undo.callback(flags.close)
            ours, theirs = socket.socketpair()
            with theirs:
                reader, writer = await asyncio.open_connection(sock=ours)
                undo.callback(writer.close)
                try:
                    process = await asyncio.create_subprocess_exec(
                        sys.executable,
                        "-m",
                        "voicebot.workers.host",
                        *map(str, (theirs.fileno(), flags.descriptor, os.getpid())),
                        pass_fds=(theirs.fileno(), flags.descriptor),
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=2,
                        env=_environment(),
                        process_group=0,  # the terminal's Ctrl-C is for the daemon, which ends its workers itself
                    )
                except OSError as error:
                    raise EngineError(f"the {self._order.stage} worker can't be started ({error}).") from error
            undo.pop_all()
        return _Incarnation(process, flags, reader, writer)

    async def _load(self, life: _Incarnation) -> None:
        self._observer(WorkerChanged(self._order.stage, "loading", life.process.pid, ""))
        life.writer.write(encode(self._order.header()))
        try:
            async with asyncio.timeout(self._timeouts.start_timeout_s):
                answer = await read_frame(life.reader)
        except WorkerDiedError as error:
            raise EngineError(f"the {self._order.stage} worker failed while it loaded ({error}).") from error
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
        self._loaded_before = True
        self._ready.set()
        self._observer(WorkerChanged(self._order.stage, "ready", life.process.pid, ""))

    async def _dispatch(self, life: _Incarnation) -> str:
        """Hand replies to whoever asked, until the process is gone; returns why it went."""
        try:
            while (frame := await read_frame(life.reader)) is not None:
                life.heard_s = self._clock.now_s()
                header, payload = frame
                if "item" in header:
                    life.deliver(header["id"], Reply(header["item"], payload))
                else:
                    life.finish(header["id"], EngineError(header["reason"]) if "reason" in header else None)
        except WorkerDiedError as error:
            return str(error)
        code = await life.process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _died(self) -> WorkerDiedError:
        return WorkerDiedError(f"the {self._order.stage} worker died; it is being replaced, ask again.")


async def _end(life: _Incarnation) -> None:
    """Let the process go, by the end of its socket first and by force after a moment."""
    life.writer.transport.abort()
    try:
        async with asyncio.timeout(_STOP_GRACE_S):
            await life.process.wait()
    except TimeoutError:
        life.kill()
        await life.process.wait()
    finally:
        if life.process.returncode is None:
            life.kill()
        life.flags.close()


def _environment() -> dict[str, str]:
    """Return the daemon's environment, with OpenMP told to let idle threads sleep soon.

    Threads that spin after their work would take the cores from the stage that comes next.
    """
    return {"GOMP_SPINCOUNT": "20000", "HF_HUB_OFFLINE": "1", **os.environ}
