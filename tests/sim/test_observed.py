"""What is seen of a simulated request: its time, its frequency, and whether others were in its way."""

from __future__ import annotations

import pytest

from tests.sim.boxes import at_top, chip, unequal
from voicebot.cpu.demand import Work
from voicebot.cpu.placement import Role, Seat, Speed
from voicebot.sim.costs import Amount
from voicebot.sim.machine import Machine
from voicebot.sim.observed import Observed, Watch

COMPUTING = Amount(2e9, 0.0)
"""A second at the top."""


def watched(machine: Machine) -> Watch:
    watch = Watch(machine)
    machine.on_segment = lambda seconds, _watts: watch.pass_time(seconds)
    return watch


def submit(machine: Machine, amount: Amount, cpus: tuple[int, ...], role: Role = "asr") -> None:
    machine.submit(role, amount, Seat(cpus, 1), lambda: None, Work("asr", 5.0))


def test_a_request_alone_takes_what_its_cycles_and_bytes_take() -> None:
    machine = at_top(chip())
    watch = watched(machine)
    submit(machine, Amount(2e9, 4e9), (0,))
    machine.run_until(9.0)
    (seen,) = watch.observed
    assert seen == Observed("asr", "policy0", 1, 5.0, seen.ghz, seen.seconds, 1.0, hindered=False)
    assert (seen.ghz, seen.seconds) == pytest.approx((2.0, 1.5))


def test_a_frequency_that_changes_is_averaged_over_the_time() -> None:
    machine = at_top(chip())
    watch = watched(machine)
    submit(machine, COMPUTING, (0,))
    machine.run_until(1.5)
    machine.limit({"policy0": Speed(500_000, 1_000_000)})
    machine.run_until(9.0)
    (seen,) = watch.observed
    assert 1.0 < seen.ghz < 2.0
    assert seen.ghz * seen.seconds == pytest.approx(2.0)  # of cycles alone, that many are done


def test_those_who_share_a_core_hinder_each_other() -> None:
    machine = at_top(chip())
    watch = watched(machine)
    submit(machine, COMPUTING, (0,))
    submit(machine, COMPUTING, (0,), "slm")
    machine.run_until(9.0)
    assert [seen.hindered for seen in watch.observed] == [True, True]


@pytest.mark.parametrize(("traffic_bytes", "hindered"), [(1e8, False), (8e9, True)])
def test_those_who_want_more_than_the_memory_has_hinder_each_other(traffic_bytes: float, hindered: bool) -> None:
    machine = at_top(chip())
    watch = watched(machine)
    submit(machine, Amount(1e8, traffic_bytes), (0,))
    submit(machine, Amount(1e8, traffic_bytes), (1,), "slm")
    machine.run_until(9.0)
    assert [seen.hindered for seen in watch.observed] == [hindered, hindered]


def test_who_moves_to_cores_of_another_kind_is_no_measure_of_either() -> None:
    machine = at_top(unequal())
    watch = watched(machine)
    submit(machine, COMPUTING, (0,))
    machine.run_until(1.5)
    machine.reseat({"asr": Seat((2,), 1)})
    machine.run_until(9.0)
    assert [seen.hindered for seen in watch.observed] == [True]


def test_what_was_cancelled_or_is_nobodys_alone_is_not_seen() -> None:
    machine = at_top(chip())
    watch = watched(machine)
    machine.submit("slm", COMPUTING, Seat((1,), 1), lambda: None)
    task = machine.submit("asr", COMPUTING, Seat((0,), 1), lambda: None, Work("asr", 5.0))
    machine.run_until(1.5)
    machine.cancel(task)
    machine.run_until(9.0)
    assert watch.observed == []
