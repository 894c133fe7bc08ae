"""The daemon's own governor in the simulator: shows the sessions to the policy and does as it says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, get_args

from voicebot.cpu.demand import Phase, SessionDemand, Situation, Stage
from voicebot.cpu.policy import Policy, PolicySettings, PolicyState, decide
from voicebot.cpu.seats import seats
from voicebot.sim.chip import Chip
from voicebot.sim.costs import Models, stage_cost
from voicebot.sim.machine import Machine
from voicebot.sim.workers import Seats

_TICK_S: Final = 0.1
_IDLE_TICK_S: Final = 1.0
_US_PER_S: Final = 1e6


def policy_for(chip: Chip, models: Models, settings: PolicySettings) -> Policy:
    """Return the policy of a box, which knows the stages' costs as a perfect fit would."""
    given = seats(chip.box).seats
    costs = {}
    for stage in get_args(Stage):
        threads = given["slm" if stage == "slm_read" else stage].threads
        for cluster in chip.box.clusters:
            costs[stage, cluster.name] = stage_cost(chip, models, stage, cluster.name, threads)
    return Policy(chip.box, costs, settings)


class Pilot:
    """Decides at every change, and ten times a second while anybody is at something."""

    def __init__(
        self, machine: Machine, policy: Policy, seated: Seats, demands: Callable[[], tuple[SessionDemand, ...]]
    ) -> None:
        self._machine = machine
        self._policy = policy
        self._state = PolicyState()
        self._seats = seated
        self._demands = demands
        self._zone = machine.chip.box.zones[0].name
        self._planned_s = -1.0
        self._idle = True
        self._ticking = 0
        self.decisions = 0
        self._tick(self._ticking)

    def changed(self) -> None:
        """Decide in this moment, once for all that changes in it."""
        if self._planned_s != self._machine.now_s:
            self._planned_s = self._machine.now_s
            self._machine.after(0.0, self._decide)

    def _tick(self, number: int) -> None:
        if number == self._ticking:
            self._decide()
            self._machine.after(_IDLE_TICK_S if self._idle else _TICK_S, partial(self._tick, number))

    def _decide(self) -> None:
        machine = self._machine
        self._planned_s = -1.0
        self.decisions += 1
        demands = self._demands()
        was_idle, self._idle = self._idle, all(each.phase is Phase.IDLE for each in demands)
        if was_idle and not self._idle:  # do not wait for the slow tick
            self._ticking += 1
            machine.after(_TICK_S, partial(self._tick, self._ticking))
        situation = Situation(machine.now_s, demands, {self._zone: machine.heat.die_c})
        self._state, decision = decide(self._policy, self._state, situation)
        placement = decision.placement
        self._seats.update(placement.seats)
        machine.reseat(placement.seats)
        machine.limit(placement.speeds)
        wake_up_us = placement.wake_up_us
        machine.let_sleep(allowed=wake_up_us is None or wake_up_us >= machine.chip.wake_up_s * _US_PER_S)
