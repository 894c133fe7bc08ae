"""The worker processes: one request at a time each, and the language model's that serves all in one batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from voicebot.cpu.placement import Role, Seat
from voicebot.sim.chip import Chip
from voicebot.sim.cores import Task
from voicebot.sim.costs import NOISE, Amount, Models, step_work
from voicebot.sim.machine import Machine

_STEP_TOKENS: Final = 32
"""Prompts take part in a step with so many tokens at most."""

Seats = dict[Role, Seat]
"""Where each role's next request runs; changed in place."""


@dataclass(eq=False, slots=True)
class Request:
    """Work that is waited for."""

    amount: Amount
    deadline_s: float
    on_done: Callable[[], None]


class Desk:
    """A worker that does one request after the other, the earliest deadline first."""

    def __init__(self, machine: Machine, role: Role, seats: Seats) -> None:
        self._machine = machine
        self._role = role
        self._seats = seats
        self._waiting: list[Request] = []
        self._current: Request | None = None
        self._task: Task | None = None

    def ask(self, amount: Amount, deadline_s: float, on_done: Callable[[], None]) -> Request:
        """Ask for work to be done."""
        request = Request(amount, deadline_s, on_done)
        self._waiting.append(request)
        self._next()
        return request

    def cancel(self, request: Request) -> None:
        """Drop a request, if it is not done."""
        if request in self._waiting:
            self._waiting.remove(request)
        elif request is self._current and self._task is not None:
            self._machine.cancel(self._task)
            self._current = None
            self._next()

    def _next(self) -> None:
        if self._current is not None or not self._waiting:
            return
        self._current = min(self._waiting, key=lambda each: each.deadline_s)
        self._waiting.remove(self._current)
        self._task = self._machine.submit(self._role, self._current.amount, self._seats[self._role], self._done)

    def _done(self) -> None:
        request, self._current = self._current, None
        if request is not None:
            request.on_done()
        self._next()


@dataclass(eq=False, slots=True)
class Place:
    """A session's part in the batches."""

    prompt_left: int
    deadline_s: float
    on_read: Callable[[], None]
    reply_left: int = 0
    on_token: Callable[[], None] = field(default=lambda: None)


class Batcher:
    """The language model: who replies gets a token in every step, the rest of it goes to prompts by their deadlines."""

    def __init__(self, machine: Machine, chip: Chip, models: Models, seats: Seats, seed: str) -> None:
        self._machine = machine
        self._chip = chip
        self._models = models
        self._seats = seats
        self._noise = Random(seed)  # noqa: S311
        self._places: dict[str, Place] = {}
        self._task: Task | None = None
        self._settling = False

    def read(self, session: str, tokens: int, deadline_s: float, on_read: Callable[[], None]) -> None:
        """Take in tokens of a session's prompt."""
        self._places[session] = Place(tokens, deadline_s, on_read)
        self._step()

    def reply(self, session: str, tokens: int, on_token: Callable[[], None]) -> None:
        """Go on with so many tokens."""
        self._places[session] = Place(0, 0.0, lambda: None, tokens, on_token)
        self._step()

    def drop(self, session: str) -> None:
        """Forget what a session wanted; a step for nobody else is stopped."""
        self._places.pop(session, None)
        if self._task is not None and not self._places:
            self._machine.cancel(self._task)
            self._task = None

    def _step(self) -> None:
        if self._task is not None or self._settling or not self._places:
            return
        replying = {session: place for session, place in self._places.items() if place.reply_left}
        reading: dict[str, int] = {}
        free = _STEP_TOKENS
        for session, place in sorted(self._places.items(), key=lambda each: each[1].deadline_s):
            if place.prompt_left and free:
                reading[session] = min(place.prompt_left, free)
                free -= reading[session]
        tokens = len(replying) + sum(reading.values())
        cells = (len(replying) + len(reading)) * self._models.context_tokens
        amount = step_work(self._chip, self._models, tokens, cells).times(self._noise.lognormvariate(0, NOISE["slm"]))
        places = {session: self._places[session] for session in (*replying, *reading)}
        self._task = self._machine.submit("slm", amount, self._seats["slm"], lambda: self._stepped(places, reading))

    def _stepped(self, places: dict[str, Place], reading: dict[str, int]) -> None:
        self._task = None
        self._settling = True
        for session, place in places.items():
            if self._places.get(session) is not place:
                continue  # dropped meanwhile
            if session in reading:
                place.prompt_left -= reading[session]
                if not place.prompt_left:
                    del self._places[session]
                    place.on_read()
            else:
                place.reply_left -= 1
                if not place.reply_left:
                    del self._places[session]
                place.on_token()
        self._settling = False
        self._step()
