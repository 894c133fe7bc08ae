"""One holder at a time, the urgent first, and nobody waits for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.cpu.lease import AHEAD, BACKGROUND, CRITICAL, Lease, Request

PATIENCE_S = 0.5


def held_by(holder: str, urgency: float, *others: tuple[str, float]) -> Lease:
    """A lease taken at 0 s, for which others have asked since."""
    lease = Lease(PATIENCE_S).request(holder, urgency, 0.0)
    for other, its_urgency in others:
        lease = lease.request(other, its_urgency, 0.0)
    return lease


def test_who_asks_first_has_it_until_released() -> None:
    lease = held_by("asr", AHEAD, ("tts", AHEAD))
    assert lease.holder == "asr"
    assert [request.holder for request in lease.waiting] == ["tts"]
    lease = lease.release("asr", 0.1)
    assert lease.holder == "tts"
    assert lease.release("tts", 0.2).holder is None


def test_a_free_lease_has_nobody_and_asks_nobody_to_yield() -> None:
    assert Lease().holder is None
    assert not Lease().should_yield(10.0)


def test_the_most_urgent_is_next_and_of_equals_the_first() -> None:
    lease = held_by("asr", CRITICAL, ("warm", BACKGROUND), ("slm", CRITICAL), ("tts", CRITICAL))
    order = []
    for _ in range(3):
        lease = lease.release(str(lease.holder), 0.1)
        order.append(lease.holder)
    assert order == ["slm", "tts", "warm"]


def test_the_critical_path_is_given_way_at_the_next_safe_point() -> None:
    assert held_by("warm", BACKGROUND, ("asr", CRITICAL)).should_yield(0.0)
    assert held_by("tts", AHEAD, ("asr", CRITICAL)).should_yield(0.0)


@pytest.mark.parametrize(("urgency", "after_s"), [(CRITICAL, 0.5), (AHEAD, 1.0), (BACKGROUND, 1.5)])
def test_the_critical_path_gives_way_late_and_the_later_the_less_urgent(urgency: float, after_s: float) -> None:
    lease = held_by("slm", CRITICAL, ("other", urgency))
    assert not lease.should_yield(after_s - 0.01)
    assert lease.should_yield(after_s)


def test_who_yields_queues_again_behind_whom_it_gave_way_to() -> None:
    lease = held_by("slm", CRITICAL, ("warm", BACKGROUND))
    lease = lease.release("slm", 1.5).request("slm", CRITICAL, 1.5)
    assert lease.holder == "warm"
    assert lease.should_yield(1.5)  # one step, and it is the critical path's turn again
    assert lease.release("warm", 1.6).holder == "slm"


def test_many_who_waited_long_do_not_take_turns_at_every_step() -> None:
    lease = held_by("a", AHEAD, ("b", AHEAD), ("c", AHEAD)).release("a", 60.0)
    assert lease.holder == "b"
    assert not lease.should_yield(60.1)


def test_who_asks_again_changes_its_urgency_only() -> None:
    lease = held_by("slm", AHEAD, ("tts", AHEAD)).request("tts", CRITICAL, 0.3).request("slm", BACKGROUND, 0.3)
    assert lease.granted == Request("slm", BACKGROUND, 0.0)
    assert lease.waiting == (Request("tts", CRITICAL, 0.0),)


def test_a_waiting_request_can_be_taken_back() -> None:
    lease = held_by("slm", CRITICAL, ("tts", CRITICAL)).release("tts", 0.1)
    assert lease.holder == "slm"
    assert lease.waiting == ()


def test_releasing_what_one_has_not_changes_nothing() -> None:
    lease = held_by("slm", CRITICAL, ("tts", AHEAD))
    assert lease.release("asr", 1.0) == lease


def test_a_clock_that_went_back_lets_nobody_past() -> None:
    lease = held_by("slm", CRITICAL, ("asr", AHEAD)).request("tts", AHEAD, -1000.0)
    assert lease.release("slm", -1000.0).holder == "asr"
    assert held_by("warm", BACKGROUND, ("slm", CRITICAL)).should_yield(-1000.0)


ASKED = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from((BACKGROUND, AHEAD, CRITICAL)), st.booleans()), max_size=40
)


@given(ASKED)
def test_nobody_waits_while_nobody_holds_and_nobody_is_in_twice(asked: list[tuple[str, int, bool]]) -> None:
    lease = Lease(PATIENCE_S)
    inside: set[str] = set()
    for index, (who, urgency, leaves) in enumerate(asked):
        lease = lease.release(who, index / 10) if leaves else lease.request(who, urgency, index / 10)
        inside = inside - {who} if leaves else inside | {who}
        names = [request.holder for request in lease.waiting] + ([lease.holder] if lease.holder else [])
        assert sorted(names) == sorted(inside)
        assert lease.holder is not None or not inside


@given(st.integers(1, 20))
def test_a_stream_of_critical_work_delays_background_by_a_bounded_time(step_ms: int) -> None:
    lease = held_by("work 0", CRITICAL, ("warm", BACKGROUND))
    step_s = step_ms / 100
    for index in range(1, 1000):
        lease = lease.request(f"work {index}", CRITICAL, index * step_s)
        lease = lease.release(str(lease.holder), index * step_s)
        if lease.holder == "warm":
            assert index * step_s <= (CRITICAL - BACKGROUND) * PATIENCE_S + 2 * step_s
            return
    raise AssertionError("it waits for ever")


def test_the_states_before_are_left_alone() -> None:
    before = held_by("slm", CRITICAL)
    kept = replace(before)
    before.request("tts", CRITICAL, 1.0)
    before.release("slm", 1.0)
    assert before == kept
