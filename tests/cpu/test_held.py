"""Up at once, down once in a while."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from voicebot.cpu.held import Held, settled

HOLD_S = 1.0


def test_it_goes_up_at_once_and_down_after_the_hold() -> None:
    held = Held().then(2, 0.0, HOLD_S).then(5, 0.1, HOLD_S)
    assert held.value == 5
    assert held.then(1, 1.0, HOLD_S).value == 5
    assert held.then(1, 1.1, HOLD_S).value == 1


def test_being_asked_again_begins_the_hold_again() -> None:
    held = Held().then(5, 0.0, HOLD_S).then(5, 0.9, HOLD_S)
    assert held.then(1, 1.8, HOLD_S).value == 5


def test_a_clock_that_went_back_ends_the_hold() -> None:
    assert Held(5, 100.0).then(1, 50.0, HOLD_S).value == 1


@given(st.lists(st.integers(0, 9), min_size=2, max_size=200))
def test_it_falls_once_in_a_hold_time_and_is_never_below_what_is_asked(asked: list[int]) -> None:
    held, values = Held(), list[float]()
    for step, value in enumerate(asked):
        held = held.then(value, step / 10, HOLD_S)
        assert held.value >= value
        values.append(held.value)
    falls = [step for step, (before, after) in enumerate(pairwise(values)) if after < before]
    assert all(later - earlier >= 10 for earlier, later in pairwise(falls))


@given(st.lists(st.floats(49, 51), min_size=1))
def test_noise_narrower_than_the_band_only_lifts_a_reading(noise: list[float]) -> None:
    value = settled(None, 51.0, 2.0)
    for reading in noise:
        value = settled(value, reading, 2.0)
    assert value == 51.0


def test_a_reading_that_falls_is_followed_at_a_distance() -> None:
    assert settled(80.0, 70.0, 2.0) == 72.0
    assert settled(70.0, 80.0, 2.0) == 80.0
