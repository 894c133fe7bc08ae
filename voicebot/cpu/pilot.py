"""All of the governor that may block: reads the box, decides by the policy, carries it out. For one thread alone."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, get_args

from voicebot.cpu.account import EnergyAccount
from voicebot.cpu.actuators import Actuators
from voicebot.cpu.demand import SessionDemand, Situation, Stage
from voicebot.cpu.energy import energy_source
from voicebot.cpu.forecast import ROLES
from voicebot.cpu.placement import Placement, Role
from voicebot.cpu.policy import Policy, PolicySettings, PolicyState, decide
from voicebot.cpu.scheduling import Scheduler
from voicebot.cpu.status import StatusFile, status_of
from voicebot.cpu.sysfs import Folder
from voicebot.cpu.thermal import temperatures_c
from voicebot.cpu.topology import read_box
from voicebot.events import Event, TurnEnergy
from voicebot.latency.cost import StageCost

_log = logging.getLogger(__name__)
_SENSE_EVERY_S: Final = 1.0
"""A sensor may take milliseconds to be read; a box takes seconds to warm up."""
_ONLINE: Final = "sys/devices/system/cpu"


@dataclass(frozen=True, slots=True)
class Moment:
    """What the pilot is told."""

    now_s: float
    demands: tuple[SessionDemand, ...] = ()
    events: Sequence[Event] = ()
    """Those since the last moment that begin and end turns."""
    pids: Mapping[Role, Sequence[int]] = field(default_factory=dict)
    costs: Mapping[str, StageCost] = field(default_factory=dict)
    """What was learnt of the stages, by their names."""
    rungs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    placement: Placement = field(default_factory=Placement)
    pressure: float = 0.0
    energies: Sequence[TurnEnergy] = ()
    settled: bool = False
    """Whether nothing has been new for so long that all hold times are over."""


class Pilot:
    """Drives one box."""

    def __init__(
        self,
        settings: PolicySettings,
        root: Path,
        journal: Path,
        status: Path | None,
        now_s: float,
        usable: Collection[int] | None,
        scheduler: Scheduler | None = None,
    ) -> None:
        """Look at the box, and put back what an earlier run that crashed has left. Arguments as those of others."""
        self._settings = settings
        self._root = root
        self._usable = usable
        self._watch = _Watch(now_s)
        self._online = self._read_online()
        box = read_box(root, usable)
        self.actuators = Actuators(box, root, journal, scheduler)
        self.controls = self.actuators.possible
        self.policy = Policy(box, settings=settings)
        self._costs: Mapping[str, StageCost] = {}
        self._state = PolicyState()
        self._applied: tuple[Placement, Mapping[Role, Sequence[int]]] | None = None
        self._account = EnergyAccount(energy_source(box, self._watch, root), now_s)
        self._temperatures_c: Mapping[str, float] = {}
        self._sensed_s = -math.inf
        self._new_s = now_s
        self._holds_s = max(settings.hold_s, settings.idle_hold_s, settings.heat_hold_s)
        self._status = StatusFile(status)

    def step(self, moment: Moment) -> Outcome:
        """Decide, and do it, where that is something new."""
        now_s = self._watch.s = moment.now_s
        self._look_who_is_online()
        if moment.costs != self._costs:
            self._costs = moment.costs
            self.policy = self._policy_of(self.policy)
        situation = Situation(now_s, moment.demands, self._temperatures_c)
        self._state, decision = decide(self.policy, self._state, situation)
        placement = _without_precedence(decision.placement)
        if self._applied != (placement, moment.pids):
            self.actuators.apply(placement, moment.pids)
            self._applied = placement, moment.pids
            self._new_s = now_s
        if moment.demands or now_s < self._new_s:
            self._new_s = now_s
        # What follows may take milliseconds, and nobody waits for it.
        due = not 0 <= now_s - self._sensed_s < _SENSE_EVERY_S
        if due:
            self._sensed_s = now_s
            self._temperatures_c = temperatures_c(self._root, self.policy.box.zones)
        energies = self._account.take(moment.events, now_s) if due or moment.events else []
        if self._status.is_due(now_s):
            self._status.write(
                status_of(
                    *(self.policy.box, self._root),
                    placement=placement,
                    temperatures_c=self._temperatures_c,
                    rungs=moment.rungs,
                    pressure=decision.pressure,
                    phases={demand.session: demand.phase.value for demand in moment.demands},
                    balance=self._account.balance,
                    controls=self.controls,
                ),
                now_s,
            )
        return Outcome(placement, decision.pressure, energies, settled=now_s - self._new_s > self._holds_s)

    @property
    def status(self) -> Mapping[str, Any]:
        """What was done, a second old at most; empty before the first step."""
        return self._status.latest or {}

    def restore(self) -> None:
        """Leave everything as it was."""
        self.actuators.restore()
        self._status.remove()

    def _look_who_is_online(self) -> None:
        online = self._read_online()
        if online == self._online:
            return
        self._online = online
        _log.info("the processors that are online have changed: %s", online)
        self.policy = self._policy_of(Policy(read_box(self._root, self._usable), settings=self._settings))
        self._state = PolicyState()

    def _read_online(self) -> str | None:
        return Folder(self._root / _ONLINE).text("online")

    def _policy_of(self, before: Policy) -> Policy:
        """Return the policy with the costs that are known; they count in cycles where the frequency is ours alone."""
        costs: dict[tuple[Stage, str], StageCost] = {}
        for stage in get_args(Stage):
            cpus = before.seating.seats[ROLES[stage]].cpus
            if stage in self._costs and self.controls.frequency:
                at_home = (each.name for each in before.box.clusters if not set(each.cpus).isdisjoint(cpus))
                costs |= {(stage, name): self._costs[stage] for name in at_home}
        return Policy(before.box, costs, self._settings)


def _without_precedence(placement: Placement) -> Placement:
    """Leave niceness and class as they are: they are the user's, by the box's section `scheduling` (precedence.py)."""
    seats = {role: replace(seat, nice=0, realtime=False) for role, seat in placement.seats.items()}
    return replace(placement, seats=seats)


@dataclass(slots=True)
class _Watch:
    """What the time was at the latest moment: in the pilot's thread there is no event loop to tell it."""

    s: float

    def now_s(self) -> float:
        return self.s
