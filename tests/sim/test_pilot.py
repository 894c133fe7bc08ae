from __future__ import annotations

import pytest

from tests.sim.boxes import at_top
from voicebot.cpu.demand import Phase, SessionDemand, Work
from voicebot.cpu.policy import PolicySettings
from voicebot.cpu.seats import seats
from voicebot.sim.chip import rk3588
from voicebot.sim.costs import SLM_1_5B
from voicebot.sim.governors import Schedutil
from voicebot.sim.pilot import Pilot, policy_for
from voicebot.sim.workers import Seats

ANSWERING = SessionDemand("user", Phase.ANSWERING, (Work("asr", 5.0), Work("slm", 8.0)), 0.2)


class Room:
    """A box with a policy, and what its one session wants."""

    def __init__(self) -> None:
        self.demand = SessionDemand("user", Phase.IDLE)
        self.seats: Seats = {}
        self.machine = at_top(rk3588(), Schedutil())
        policy = policy_for(rk3588(), SLM_1_5B, PolicySettings())
        self.pilot = Pilot(self.machine, policy, self.seats, lambda: (self.demand,))
        self.machine.run_until(10.0)

    def want(self, demand: SessionDemand) -> None:
        self.demand = demand
        self.pilot.changed()
        self.machine.run_until(self.machine.now_s + 0.01)


def test_it_knows_what_every_stage_costs_on_every_cluster() -> None:
    policy = policy_for(rk3588(), SLM_1_5B, PolicySettings())
    assert set(policy.costs) == {
        (stage, cluster)
        for stage in ("asr", "slm_read", "slm", "tts", "turn")
        for cluster in ("policy0", "policy4", "policy6")
    }
    asr = policy.costs["asr", "policy4"]
    assert asr.seconds(5.0, 2.4) == pytest.approx(0.193, abs=0.01)
    assert policy.costs["asr", "policy0"].seconds(5.0, 1.8) > 4 * asr.seconds(5.0, 2.4)


def test_everybody_gets_a_seat_and_an_idle_box_stays_low() -> None:
    room = Room()
    assert set(room.seats) == set(seats(rk3588().box).seats)
    assert room.machine.khz["policy4"] == 1_200_000


def test_the_cores_of_who_is_waited_for_are_raised_before_the_work_is_there() -> None:
    room = Room()
    room.want(ANSWERING)
    assert not room.machine.tasks
    assert room.machine.limits("policy4")[0] == room.machine.khz["policy4"] == 2_400_000


def test_many_changes_in_one_moment_are_one_decision() -> None:
    room = Room()
    before = room.pilot.decisions
    for _ in range(5):
        room.pilot.changed()
    room.machine.run_until(room.machine.now_s + 1e-6)
    assert room.pilot.decisions == before + 1


def test_it_looks_more_often_while_somebody_is_at_something() -> None:
    room = Room()
    idle = room.pilot.decisions
    room.machine.run_until(20.0)
    assert room.pilot.decisions - idle == pytest.approx(10, abs=1)
    room.want(ANSWERING)
    busy = room.pilot.decisions
    room.machine.run_until(30.0)
    assert room.pilot.decisions - busy == pytest.approx(100, abs=12)
