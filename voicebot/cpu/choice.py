"""On which kind of core a stage runs that nobody waits for. Pure.

A slow core is not always the frugal one: an A76 at 1.2 GHz does the same work for less than an A55 at 1.8 GHz. So
the energy of all that a session has to do until its deadline is compared, each time at the speed that it then needs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Final, NamedTuple

from voicebot.cpu.demand import Phase, SessionDemand, Stage
from voicebot.cpu.forecast import ROLES, Forecast
from voicebot.cpu.placement import Role, Seat
from voicebot.cpu.settings import PolicySettings

_MOVING: Final[tuple[Stage, ...]] = ("tts", "turn")
"""The language model stays: decoding would share the slow cores with audio for the whole length of a reply."""
_WORTH_IT: Final = 0.9
"""Nobody moves for less than a tenth."""

Seats = Mapping[Role, Seat]


class Move(NamedTuple):
    """Where a role sits, None for at home, and since when."""

    seat: Seat | None
    since_s: float


@dataclass(frozen=True, slots=True)
class Choice:
    """Who sits where else than at home."""

    moves: Mapping[Role, Move] = field(default_factory=dict)

    def seats(self, home: Seats) -> Seats:
        """Return everybody's seat."""
        return {**home, **{role: move.seat for role, move in self.moves.items() if move.seat}}

    def then(
        self,
        forecast: Forecast,
        home: Seats,
        queue: Sequence[SessionDemand],
        now_s: float,
        settings: PolicySettings,
    ) -> Choice:
        """Return who moves: home at once when somebody waits for an answer, else once in `idle_hold_s` at most."""
        moves = dict(self.moves)
        for stage in _MOVING:
            role = ROLES[stage]
            before = moves.get(role, Move(None, -math.inf))
            asking = [demand for demand in queue if any(work.stage == stage for work in demand.work)]
            seat = before.seat
            if any(demand.phase is Phase.ANSWERING for demand in asking):
                seat = None
            elif asking and not 0 <= now_s - before.since_s < settings.idle_hold_s:
                seats = Choice(moves).seats(home)
                found = _cheapest(forecast, seats, home[role], stage, asking[0], now_s, settings)
                seat = None if found == home[role] else found
            if seat != before.seat:
                moves[role] = Move(seat, now_s)
        return Choice(moves)


def _cheapest(
    forecast: Forecast,
    seats: Seats,
    home: Seat,
    stage: Stage,
    demand: SessionDemand,
    now_s: float,
    settings: PolicySettings,
) -> Seat:
    """Return the seat with which a session's work is in time, or least late, and takes the least energy."""
    role = ROLES[stage]
    current = seats[role]
    if demand.due_s is None:
        return current
    within_s = (demand.due_s - now_s) * (1 - settings.slack)

    def mark(seat: Seat) -> tuple[float, float]:
        late_s, energy = _mark(forecast, {**seats, role: seat}, demand, within_s)
        return late_s, energy * _WORTH_IT if seat == current else energy

    return min(dict.fromkeys((current, home, *_elsewhere(forecast, home, stage))), key=mark)


def _elsewhere(forecast: Forecast, home: Seat, stage: Stage) -> list[Seat]:
    """Return the same number of threads on each other kind of core for which the stage was measured."""
    at_home = {cluster.capacity for cluster in forecast.kinds(home)}
    return [
        replace(home, cpus=cluster.cpus)
        for cluster in forecast.box.clusters
        if cluster.capacity not in at_home
        and len(cluster.cpus) >= home.threads
        and (stage, cluster.name) in forecast.costs
    ]


def _mark(forecast: Forecast, seats: Seats, demand: SessionDemand, within_s: float) -> tuple[float, float]:
    """Return how late the work would be and what energy it would take: infinitely much where that is not known."""
    curves = [forecast.curve(work, seats[ROLES[work.stage]]) for work in demand.work]
    known = [curve for curve in curves if curve is not None]
    if len(known) < len(curves):
        return math.inf, math.inf
    total = reduce(add, known)
    level = total.level_for(within_s)
    energies = [forecast.energy(work, seats[ROLES[work.stage]], level) for work in demand.work]
    return max(0.0, total.top_s - within_s), sum(math.inf if each is None else each for each in energies)
