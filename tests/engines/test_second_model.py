"""Whether there is time for a larger model, as its own runs have taught."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicebot.engines.second_model import SecondModelPace


def measured(*ratios: float) -> SecondModelPace:
    pace = SecondModelPace()
    for ratio in ratios:
        pace.took(0.05, 0.05 * ratio)
    return pace


def test_before_its_first_run_it_is_tried_while_any_time_is_left() -> None:
    pace = SecondModelPace()
    assert pace.fits(0.1, 0.01)
    assert pace.fits(0.1, None)
    assert not pace.fits(0.1, 0.0)
    assert not pace.fits(0.1, -1.0)


def test_it_takes_as_many_times_longer_than_the_first_look_as_it_did() -> None:
    assert measured(3.0).fits(0.1, 0.31)
    assert not measured(3.0).fits(0.1, 0.29)
    assert not measured(3.0).fits(0.2, 0.31)
    assert measured(3.0).fits(9.0, None)


def test_one_slow_run_counts_more_than_one_quick_one() -> None:
    assert not measured(3.0, 5.0).fits(0.1, 0.39)
    assert measured(3.0, 5.0).fits(0.1, 0.41)
    assert not measured(3.0, 1.0).fits(0.1, 0.27)


def test_a_slow_moment_is_forgotten_and_a_slow_box_is_asked_rarely() -> None:
    pace = measured(6.0)
    refusals = 0
    while not pace.fits(0.1, 0.3):
        refusals += 1
    assert 30 < refusals < 40


@given(st.lists(st.floats(0.5, 5.0), min_size=1, max_size=40))
def test_it_never_predicts_less_than_the_quickest_nor_more_than_the_slowest_run(ratios: list[float]) -> None:
    pace = measured(*ratios)
    assert pace.fits(0.1, 0.1 * max(ratios) + 1e-6)
    assert not pace.fits(0.1, 0.1 * min(ratios) - 1e-6)
