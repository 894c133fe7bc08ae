"""Time, passed in: real for a real conversation, virtual for a scripted one.

Both are read from the running event loop, so the same code runs in both. `run_virtual` runs a coroutine on a loop
whose time jumps to the next timer as soon as nothing is left to do: minutes of conversation pass in milliseconds.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Watch(Protocol):
    """Tells the time."""

    def now_s(self) -> float:
        """Return seconds since an arbitrary, fixed moment."""


class Clock(Watch, Protocol):
    """The only source of wall time in the pipeline."""

    async def sleep_s(self, duration_s: float) -> None:
        """Wait that long; not at all when the duration is not positive."""


class LoopClock:
    """The time of the running event loop."""

    def now_s(self) -> float:
        """Return the loop's time in seconds."""
        return asyncio.get_running_loop().time()

    async def sleep_s(self, duration_s: float) -> None:
        """Sleep on the loop."""
        if duration_s > 0:
            await asyncio.sleep(duration_s)


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting, moves the loop's time to the moment that would have been waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.time_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        if timeout > 0:
            self.time_s += timeout
        return []


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # A timer is due when it is within the clock's resolution; half a sample at 16 kHz keeps 20 ms ticks exact.
        self._clock_resolution = 3e-5

    def time(self) -> float:
        return self._jumping.time_s


def run_virtual(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` to its end in virtual time and return its result.

    The loop does no I/O: threads, sockets and processes do not work on it.
    """
    with asyncio.Runner(loop_factory=_VirtualTimeLoop) as runner:
        return runner.run(main)
