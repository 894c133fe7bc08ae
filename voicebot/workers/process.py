"""One life of a worker process: its socket, its cancel flags, and the requests it has not answered."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from dataclasses import dataclass
from typing import Final, Self

from voicebot.errors import EngineError
from voicebot.latency.work import Work
from voicebot.workers.flags import REQUEST_FLAGS, CancelFlags
from voicebot.workers.wire import Header

_MOST_REPLIES: Final = 8192
"""Replies of one request that may wait to be taken, far more than a turn has. With one more the request fails."""
_STOP_GRACE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One item of the answer to a request."""

    item: Header
    payload: bytes


@dataclass(frozen=True, slots=True)
class End:
    """No more replies will come; with an error the request failed."""

    error: Exception | None


@dataclass(frozen=True, slots=True)
class Request:
    """A request that has not ended."""

    flag: int
    replies: asyncio.Queue[Reply | End]
    work: Work | None


class WorkerProcess:
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
        self.pending: dict[int, Request] = {}
        self.free_flags: asyncio.Queue[int] = asyncio.Queue(REQUEST_FLAGS)
        for index in range(REQUEST_FLAGS):
            self.free_flags.put_nowait(index)

    @classmethod
    async def spawn(cls, stage: str, nice: int | None = None) -> Self:
        """Start a process that waits for its order, at that niceness if one is given. Raises EngineError."""
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
                        env=worker_environment(),
                        process_group=0,  # the terminal's Ctrl-C is for the daemon, which ends its workers itself
                    )
                except OSError as error:
                    raise EngineError(f"the {stage} worker can't be started ({error}).") from error
            if nice is not None:
                _set_precedence(process.pid, nice)
            undo.pop_all()
        return cls(process, flags, reader, writer)

    def ask(self, number: int, flag: int, work: Work | None) -> asyncio.Queue[Reply | End]:
        """Expect replies to a request; returns where they will come, the end last. Its cost is charged to `work`."""
        replies: asyncio.Queue[Reply | End] = asyncio.Queue(_MOST_REPLIES + 1)  # the end has a place of its own
        self.pending[number] = Request(flag, replies, work)
        return replies

    def deliver(self, number: int, reply: Reply) -> None:
        """Hand a reply to whoever asked."""
        replies = self.pending[number].replies
        if replies.qsize() < _MOST_REPLIES:
            replies.put_nowait(reply)
        elif not replies.full():
            replies.put_nowait(End(EngineError("the replies were not taken, and the request was given up.")))
            self.flags[self.pending[number].flag].request()

    def finish(self, number: int, error: Exception | None, cpu_s: float = 0.0, *, cancelled: bool = True) -> None:
        """Say that the request has no more replies and what it cost, and free its flag."""
        request = self.pending.pop(number)
        if request.work is not None:
            request.work.charge(cpu_s, cancelled=cancelled)
        self.flags[request.flag].clear()
        self.free_flags.put_nowait(request.flag)
        if not request.replies.full():
            request.replies.put_nowait(End(error))

    def give_up(self, error: Exception) -> None:
        """Fail all requests. Their flags stay raised, so that a process which still works on one ends at once."""
        for number, request in list(self.pending.items()):
            self.finish(number, error)
            self.flags[request.flag].request()

    def kill(self) -> None:
        """End it by force."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def end(self) -> None:
        """Let the process go, by the end of its socket first and by force after a moment."""
        self.writer.transport.abort()
        try:
            async with asyncio.timeout(_STOP_GRACE_S):
                await self.process.wait()
        except TimeoutError:
            self.kill()
            await self.process.wait()
        finally:
            if self.process.returncode is None:
                self.kill()
            self.flags.close()


def _set_precedence(pid: int, nice: int) -> None:
    """Take a new process out of the class of the thread that started it, and give it its niceness.

    It has one thread; those that its libraries begin will inherit both.
    """
    with contextlib.suppress(OSError):  # it is gone, or this much is not allowed: it works all the same
        os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, pid, nice)


def worker_environment() -> dict[str, str]:
    """Return the daemon's environment, with the libraries' threads told to sleep, and their caches to be small.

    OpenMP's sleep almost at once while they wait. A thread that spins at a barrier holds the core that the one it
    waits for needs: with 20,000 spins a first token took 50 or 500 ms, as the scheduler had it, and 1,500 with
    OpenMP's default and another program busy. A thousand, some 10 us, costs nobody anything and saves going to
    sleep between two operations of a small batch. numpy's own threads spin too: 50 ms of another core after each
    small matrix product, so it has none.

    oneDNN keeps the code that it made for each length of audio, 1,024 of them by default; hardly any comes twice.
    """
    return {
        "GOMP_SPINCOUNT": "1000",
        "OPENBLAS_NUM_THREADS": "1",
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32",
        "HF_HUB_OFFLINE": "1",
        **os.environ,
    }
