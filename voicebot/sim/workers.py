"""The worker processes that do one request at a time; batcher.py has the language model's, which serves all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from voicebot.cpu.demand import Work
from voicebot.cpu.placement import Role, Seat
from voicebot.sim.cores import Task
from voicebot.sim.costs import Amount
from voicebot.sim.machine import Machine

Seats = dict[Role, Seat]
"""Where each role's next request runs; changed in place."""
_BLIND: Final[Mapping[Role, float]] = {"asr": 2 / 3}
"""After which share of its work an engine first looks whether that was cancelled: after encoding, which takes 60 of 91
ms. A window of sound is computed to its end."""


def _nothing() -> None:
    return


@dataclass(eq=False, slots=True)
class Request:
    """Work that is waited for."""

    amount: Amount
    deadline_s: float
    on_done: Callable[[], None]
    work: Work | None = None


class Desk:
    """A worker that does one request after the other, the earliest deadline first."""

    def __init__(self, machine: Machine, role: Role, seats: Seats) -> None:
        self._machine = machine
        self._role = role
        self._seats = seats
        self._waiting: list[Request] = []
        self._current: Request | None = None
        self._task: Task | None = None

    def ask(self, amount: Amount, deadline_s: float, on_done: Callable[[], None], work: Work | None = None) -> Request:
        """Ask for work to be done."""
        request = Request(amount, deadline_s, on_done, work)
        self._waiting.append(request)
        self._next()
        return request

    def cancel(self, request: Request) -> None:
        """Drop a request, if it is not done."""
        if request in self._waiting:
            self._waiting.remove(request)
        elif request is self._current and self._task is not None and request.on_done is not _nothing:
            request.on_done = _nothing
            self._machine.cut(self._task, 1 - _BLIND.get(self._role, 1.0))

    def _next(self) -> None:
        if self._current is not None or not self._waiting:
            return
        self._current = min(self._waiting, key=lambda each: each.deadline_s)
        self._waiting.remove(self._current)
        amount, seat, work = self._current.amount, self._seats[self._role], self._current.work
        self._task = self._machine.submit(self._role, amount, seat, self._done, work)

    def _done(self) -> None:
        request, self._current = self._current, None
        if request is not None:
            request.on_done()
        self._next()
