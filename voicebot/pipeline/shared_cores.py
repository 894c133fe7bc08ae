"""The lease of cores that all heavy stages share, as tasks use it: who is waited for runs, all others stand back.

What a user waits for never waits for the lease. What nobody waits for runs alone, gives way once to what somebody
does, and begins after a bounded time whatever else goes on.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Final, Protocol, Self, TypeVar

from voicebot.clock import Clock

Result = TypeVar("Result")
_CRITICAL: Final = "critical path"
_LINGER_S: Final = 0.05
"""The next stage of a reply begins so soon after the one before: nothing else is worth beginning in between."""


class Urgency(IntEnum):
    """How soon work is wanted, on the lease's own scale."""

    BACKGROUND = 0
    AHEAD = 1
    CRITICAL = 2


LONGEST_WAIT_S: Final = {Urgency.BACKGROUND: 1.5, Urgency.AHEAD: 0.2}
"""A partial decides whether a reply that plays is stopped, and half a second is all there is for that."""


class Lease(Protocol):
    """Who has the cores and who waits for them; each call returns the next state. cpu/lease.py has the rules."""

    @property
    def holder(self) -> str | None:
        """Who may run."""

    def request(self, holder: str, urgency: float, now_s: float) -> Self:
        """Return the state with a request more."""

    def release(self, holder: str, now_s: float) -> Self:
        """Return the state without this holder's request."""

    def should_yield(self, now_s: float) -> bool:
        """Return whether the holder should give way."""


class SharedCores:
    """One box's. All calls are made in one event loop."""

    def __init__(self, lease: Lease, clock: Clock) -> None:
        self._lease = lease
        self._clock = clock
        self._critical = 0
        self._numbers = itertools.count()
        self._waiting: dict[str, asyncio.Event] = {}
        self._yields: dict[str, Callable[[], None]] = {}

    def begin_critical(self) -> Callable[[], None]:
        """Take the cores for what a user waits for; returns what gives them back, which may be called twice."""
        self._critical += 1
        self._request(_CRITICAL, Urgency.CRITICAL)
        ended = False

        def end() -> None:
            nonlocal ended
            if not ended:
                ended = True
                self._critical -= 1
                asyncio.get_running_loop().call_later(_LINGER_S, self._end_critical)

        return end

    async def stand_back(self, work: Callable[[], Awaitable[Result]], urgency: Urgency) -> Result:
        """Do work that may wait. If it has to give way it is cancelled and, once there is room again, done anew."""
        for may_yield in (True, False):
            holder = await self.wait(urgency)
            scope = asyncio.timeout(None)
            try:
                async with scope:
                    if may_yield:
                        self._yields[holder] = functools.partial(scope.reschedule, 0.0)
                        self._settle()
                    return await work()
            except TimeoutError:
                if not (may_yield and scope.expired()):
                    raise
            finally:
                self.leave(holder)
        raise AssertionError  # the second time nothing makes it give way

    async def wait(self, urgency: Urgency, longest_s: float | None = None) -> str:
        """Wait for the cores, but no longer than the urgency allows; returns what to `leave` with."""
        longest_s = LONGEST_WAIT_S[urgency] if longest_s is None else longest_s
        holder = f"{urgency.name} {next(self._numbers)}"
        granted = self._waiting[holder] = asyncio.Event()
        try:
            self._request(holder, urgency)
            async with asyncio.timeout(longest_s):
                await granted.wait()
        except TimeoutError:
            self.leave(holder)  # it begins beside the others
        except BaseException:
            self.leave(holder)
            raise
        finally:
            self._waiting.pop(holder, None)
        return holder

    def should_yield(self, holder: str) -> bool:
        """Return whether work that was waited for with `wait` should leave, and wait again."""
        return self._lease.holder == holder and self._lease.should_yield(self._clock.now_s())

    def leave(self, holder: str) -> None:
        """Give the cores back."""
        self._yields.pop(holder, None)
        self._lease = self._lease.release(holder, self._clock.now_s())
        self._settle()

    def _end_critical(self) -> None:
        if self._critical == 0:
            self.leave(_CRITICAL)

    def _request(self, holder: str, urgency: Urgency) -> None:
        self._lease = self._lease.request(holder, urgency, self._clock.now_s())
        self._settle()

    def _settle(self) -> None:
        """Let run who may, and ask who should give way."""
        holder = self._lease.holder
        if holder in self._waiting:
            self._waiting[holder].set()
        elif holder in self._yields and self._lease.should_yield(self._clock.now_s()):
            self._yields.pop(holder)()
