"""Inference gets the fast cores, audio its own, and no two threads that compute share one."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cpu.processors import equal, rk3588, unknown
from voicebot.config.box import CoreSettings
from voicebot.cpu.box import Box, Cluster
from voicebot.cpu.placement import Role
from voicebot.cpu.seats import HEAVY, seats
from voicebot.workers.threads import Threads

ROLES: tuple[Role, ...] = get_args(Role)


def cpus(box: Box) -> dict[Role, tuple[int, ...]]:
    return {role: seat.cpus for role, seat in seats(box).seats.items()}


def test_eight_equal_cores_are_parted_two_four_two() -> None:
    assert cpus(unknown(8)) == {
        "audio": (0, 1),
        "turn": (2, 3),
        "other": (2, 3),
        "asr": (4, 5, 6, 7),
        "slm": (4, 5, 6, 7),
        "tts": (4, 5, 6, 7),
    }


def test_on_an_rk3588_inference_has_the_big_cores_and_audio_little_ones() -> None:
    found = cpus(rk3588())
    assert found["asr"] == found["slm"] == found["tts"] == (4, 5, 6, 7)
    assert set(found["audio"]) | set(found["turn"]) | set(found["other"]) == {0, 1, 2, 3}


def test_where_the_big_cores_come_first_inference_has_them_all_the_same() -> None:
    found = cpus(Box((Cluster("big", (0, 1, 2, 3), 1024), Cluster("little", (4, 5, 6, 7), 400))))
    assert found["slm"] == (0, 1, 2, 3)
    assert found["audio"] == (4, 5)


def test_two_fast_cores_are_not_held_up_by_two_slow_ones() -> None:
    big_little = Box((Cluster("little", (0, 1, 2, 3, 4, 5), 400), Cluster("big", (6, 7), 1024)))
    assert cpus(big_little)["slm"] == (6, 7)
    nearly_equal = Box((Cluster("slower", (0, 1, 2, 3, 4, 5), 990), Cluster("favoured", (6, 7), 1024)))
    assert cpus(nearly_equal)["slm"] == (4, 5, 6, 7)


@pytest.mark.parametrize(
    ("cores", "audio", "heavy", "rest"), [(4, 1, 2, 1), (5, 1, 2, 2), (6, 1, 3, 2), (8, 2, 4, 2), (16, 2, 4, 10)]
)
def test_other_boxes_are_parted_in_proportion(cores: int, audio: int, heavy: int, rest: int) -> None:
    found = cpus(unknown(cores))
    assert (len(found["audio"]), len(found["slm"]), len(found["other"])) == (audio, heavy, rest)
    assert not seats(unknown(cores)).shared


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_a_few_cores_are_shared_and_audio_goes_by_priority(cores: int) -> None:
    seating = seats(unknown(cores))
    assert seating.shared
    assert {seat.cpus for seat in seating.seats.values()} == {tuple(range(cores))}
    assert seating.seats["slm"].threads == 1
    assert [role for role, seat in seating.seats.items() if seat.realtime] == ["audio"]


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 6, 8, 12])
def test_as_many_threads_as_the_workers_would_choose_on_equal_cores(cores: int) -> None:
    chosen = Threads.choose(CoreSettings(), cores)
    found = seats(unknown(cores)).seats
    assert {role: found[role].threads for role in (*HEAVY, "turn")} == {
        role: chosen.of(role) for role in (*HEAVY, "turn")
    }


def test_with_smt_a_heavy_thread_has_a_core_to_itself() -> None:
    box = equal(8, smt=2)
    found = cpus(box)
    assert found["slm"] == (4, 5, 6, 7)
    assert found["audio"] == (0, 8, 1, 9)
    siblings = {cpu for each in found["slm"] for cpu in box.threads_of_core[each]}
    assert siblings.isdisjoint(found["audio"] + found["other"] + found["turn"])


def test_the_siblings_of_two_cores_are_not_two_cores() -> None:
    seating = seats(equal(2, smt=2))
    assert seating.shared
    assert seating.seats["asr"].cpus == (0, 1)
    assert seating.seats["asr"].threads == 2
    assert set(seating.seats["audio"].cpus) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("box", "cpus"), [(unknown(8), (0, 1, 2, 3)), (unknown(4), (0, 1)), (equal(8, smt=2), (0, 1, 2, 3))]
)
def test_apart_from_decoding_there_are_as_many_other_cores_as_good(box: Box, cpus: tuple[int, ...]) -> None:
    seating = seats(box)
    assert {role: seat.cpus for role, seat in seating.apart.items()} == {"asr": cpus, "tts": cpus}
    assert set(cpus).isdisjoint(seating.seats["slm"].cpus)
    assert seating.apart["asr"].threads == seating.seats["asr"].threads


@pytest.mark.parametrize("box", [rk3588(), unknown(2)])
def test_nobody_goes_apart_to_slower_cores_or_without_any(box: Box) -> None:
    assert seats(box).apart == {}


def test_a_core_that_is_offline_gets_nobody() -> None:
    box = rk3588()
    little, *big = box.clusters
    found = cpus(Box((replace(little, cpus=(0, 2, 3)), *big), threads_of_core={0: (0, 1)}))
    assert all(1 not in seat for seat in found.values())


def test_who_is_waited_for_goes_before_who_is_not() -> None:
    nice = {role: seat.nice for role, seat in seats(unknown(8)).seats.items()}
    assert nice["audio"] == min(nice.values())
    assert nice["other"] == max(nice.values())
    assert nice["other"] > 0 > max(nice[role] for role in HEAVY)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    first = 0
    clusters = []
    for index, size in enumerate(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))):
        capacity = draw(st.integers(100, 1024))
        clusters.append(Cluster(f"policy{index}", tuple(range(first, first + size)), capacity))
        first += size
    smt = draw(st.booleans())
    pairs = {cpu: tuple(sorted({cpu, cpu ^ 1} & set(range(first)))) for cpu in range(first)} if smt else {}
    return Box(tuple(clusters), threads_of_core=pairs)


@given(boxes())
def test_everybody_has_an_online_seat_with_at_least_a_thread(box: Box) -> None:
    seating = seats(box)
    assert set(seating.seats) == set(ROLES)
    for seat in seating.seats.values():
        assert seat.cpus
        assert set(seat.cpus) <= set(box.cpus)
        assert 1 <= seat.threads <= len(seat.cpus)


@given(boxes())
def test_unless_shared_audio_inference_and_the_rest_do_not_meet(box: Box) -> None:
    seating = seats(box)
    places = [set(seating.seats[role].cpus) for role in ("audio", "slm", "other")]
    whole = [{cpu for each in place for cpu in box.threads_of_core.get(each, (each,))} for place in places]
    assert seating.shared or all(a.isdisjoint(b) for a, b in combinations(whole, 2))
