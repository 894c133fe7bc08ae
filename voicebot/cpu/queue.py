"""Whose work comes first: what is due first, and nobody waits for ever. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from voicebot.cpu.demand import Phase, SessionDemand, Situation
from voicebot.cpu.settings import PolicySettings


class Waiting(NamedTuple):
    """In what phase a session has work, and since when."""

    phase: Phase
    since_s: float


@dataclass(frozen=True, slots=True)
class Queue:
    """The sessions with work, in the order in which it is to be done, and how long they have had it."""

    demands: tuple[SessionDemand, ...] = ()
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    """By session."""

    def then(self, situation: Situation, settings: PolicySettings) -> Queue:
        """Return the order of the present work: earliest deadline first (Liu and Layland 1973).

        It is the best order as long as all can be met. When they can't, work that has waited for `patience_s` goes
        before all that came after it, so that always newer urgent work does not starve it.
        """
        waiting = {each.session: self._waiting(each, situation.now_s) for each in situation.sessions if each.work}
        demands = [
            _with_due(each, waiting[each.session], settings) for each in situation.sessions if each.session in waiting
        ]

        def rank(demand: SessionDemand) -> tuple[float, str]:
            due_s = math.inf if demand.due_s is None else demand.due_s
            return min(due_s, waiting[demand.session].since_s + settings.patience_s), demand.session

        return Queue(tuple(sorted(demands, key=rank)), waiting)

    def _waiting(self, demand: SessionDemand, now_s: float) -> Waiting:
        before = self.waiting.get(demand.session)
        if before is None or before.phase is not demand.phase:
            return Waiting(demand.phase, now_s)
        return Waiting(demand.phase, min(before.since_s, now_s))


def _with_due(demand: SessionDemand, waiting: Waiting, settings: PolicySettings) -> SessionDemand:
    if demand.due_s is None and demand.phase is Phase.ANSWERING:
        return replace(demand, due_s=waiting.since_s + settings.total_budget_s)
    return demand
