"""A program of the box's builder that is told what the box is doing: each state is a line of its standard input."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque
from typing import Final, cast

from voicebot.clock import Clock
from voicebot.interfaces.backoff import Backoff
from voicebot.interfaces.public_state import PublicState

_MOST_UNTOLD: Final = 32
"""For a program that is slow to read; then it misses the oldest."""
_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 60.0
_SETTLED_S: Final = 10.0
"""Who has run for so long has worked."""
_GRACE_S: Final = 0.3
"""Between the end of its input and its end by force. The daemon's own end waits for it."""
_DAEMONS_OWN: Final = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY"}

_log = logging.getLogger(__name__)


class StateProgram:
    """Started once, and again whenever it ends; it begins with the state that holds then. Nobody waits for it."""

    def __init__(self, command: tuple[str, ...], state: PublicState, clock: Clock) -> None:
        self._command = command
        self._clock = clock
        self._latest = state
        self._untold: deque[PublicState] = deque(maxlen=_MOST_UNTOLD)
        self._filled = asyncio.Event()
        self._backoff = Backoff(_FIRST_WAIT_S, _LONGEST_WAIT_S)
        self._complained = False

    def tell(self, state: PublicState) -> None:
        """Let it be told another state. Does not block."""
        self._latest = state
        self._untold.append(state)
        self._filled.set()

    async def run(self) -> None:
        """Keep it running until cancelled; it ends then."""
        while True:
            began_s = self._clock.now_s()
            try:
                problem = await self._run_once()
            except OSError as error:
                problem = f"can't be started ({error})"
            if self._clock.now_s() - began_s >= _SETTLED_S:
                self._backoff.reset()
                self._complained = False
            if not self._complained:
                self._complained = True
                _log.warning("%s %s; it is started again until it goes on running", self._command[0], problem)
            await self._clock.sleep_s(self._backoff.next_s())

    async def _run_once(self) -> str:
        """Start it and feed it; returns how it has ended. Raises OSError, when it can't be started."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,  # what it has to say to its owner goes into the log, by its stderr
            env={name: value for name, value in os.environ.items() if name not in _DAEMONS_OWN},
            process_group=0,  # the terminal's Ctrl-C is for the daemon
        )
        feeding: asyncio.Task[None] | None = None
        try:
            _take_no_precedence(process.pid)
            feeding = asyncio.create_task(self._feed(process), name="state program")
            return f"has ended with {await process.wait()}"
        finally:
            if feeding is not None:
                feeding.cancel()
                await asyncio.wait([feeding])
            await _end(process)

    async def _feed(self, process: asyncio.subprocess.Process) -> None:
        self._untold.clear()
        self._untold.append(self._latest)
        stdin = cast("asyncio.StreamWriter", process.stdin)
        with contextlib.suppress(ConnectionError):  # its end is noticed elsewhere
            while True:
                while self._untold:
                    stdin.write(f"{self._untold.popleft()}\n".encode())
                    await stdin.drain()
                self._filled.clear()
                await self._filled.wait()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close its input, by which it knows, and end it and what it has begun by force after a moment."""
    try:
        if process.stdin is not None:
            process.stdin.close()
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _take_no_precedence(pid: int) -> None:
    """Take a new process out of the real-time class of the thread that started it."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, pid, 0)
