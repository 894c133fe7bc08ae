from __future__ import annotations

import pytest

from tests.sim.boxes import chip, unequal
from voicebot.cpu.placement import Seat
from voicebot.sim.cores import Task, place, set_rates
from voicebot.sim.costs import Amount

FREE = {0: 2e9, 1: 2e9, 2: 1e9, 3: 1e9}
REACH = dict.fromkeys(FREE, 8e9)


def task(cycles: float, traffic: float, *cpus: int, threads: int = 1, nice: int = 0) -> Task:
    return Task("slm", Amount(cycles, traffic), Seat(cpus, threads, nice=nice), lambda: None)


def rated(*tasks: Task) -> list[float]:
    set_rates(tasks, unequal(), FREE, REACH, place(tasks, [0, 1, 2, 3]))
    return [each.rate for each in tasks]


def test_threads_go_to_idle_cores_the_best_first_and_share_when_there_is_none() -> None:
    first, second = task(1e9, 0, 0, 1, 2, 3, threads=2), task(1e9, 0, 0, 1, 2, 3, threads=3)
    place([first, second], [0, 1, 2, 3])
    assert first.cpus == (0, 1)
    assert second.cpus == (2, 3, 0)


def test_threads_keep_to_their_seat() -> None:
    only = task(1e9, 0, 1, threads=2)
    place([only], [0, 1, 2, 3])
    assert only.cpus == (1, 1)


def test_computing_and_reading_follow_on_each_other() -> None:
    only = task(2e9, 4e9, 0)
    assert rated(only) == [pytest.approx(1 / (1.0 + 0.5))]
    assert only.stalled == pytest.approx(1 / 3)


def test_all_threads_go_at_the_pace_of_the_slowest_core() -> None:
    assert rated(task(4e9, 0, 1, 2, threads=2)) == [pytest.approx(2 * 1e9 / 4e9)]


def test_two_tasks_that_only_read_share_the_memory_equally() -> None:
    assert rated(task(1.0, 5e9, 0), task(1.0, 5e9, 1)) == [pytest.approx(1.0, rel=1e-4)] * 2


def test_who_reads_little_is_hardly_slowed_down_by_who_reads_much() -> None:
    alone = rated(task(2e9, 0.4e9, 0))[0]
    beside = rated(task(2e9, 0.4e9, 0), task(1.0, 5e9, 1), task(1.0, 5e9, 2))[0]
    assert alone == pytest.approx(1 / 1.05)
    assert 0.85 * alone < beside < alone


def test_memory_is_never_exceeded_and_fully_used_when_all_want_it() -> None:
    tasks = [task(1e9, 3e9, 0), task(0.1e9, 6e9, 1), task(1e6, 2e9, 2)]
    rates = rated(*tasks)
    used = sum(rate * each.amount.traffic_bytes for rate, each in zip(rates, tasks, strict=True))
    assert used == pytest.approx(chip().bandwidth_bytes_s, rel=1e-3)


def test_a_core_is_shared_by_niceness() -> None:
    kind, rude = rated(task(1e9, 0, 0, nice=5), task(1e9, 0, 0))
    assert rude / kind == pytest.approx(1.25**5)
    assert rude + kind == pytest.approx(2.0)
