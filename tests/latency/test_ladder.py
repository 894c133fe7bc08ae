"""Which rung is taken: down at once, up only after a while, and never for one lucky turn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.latency.ladder import LadderRules, Place, choose

RULES = LadderRules(slack=0.2, calm_turns=3)
CAREFUL_S = (0.6, 0.4, 0.2)


def rungs(left_s: Sequence[float], *, pressure: float = 0.0, start: Place | None = None) -> list[int]:
    found, place = [], start or Place()
    for one in left_s:
        place = choose(CAREFUL_S, one, place, RULES, pressure=pressure)
        found.append(place.rung)
    return found


def test_with_time_enough_it_is_full_quality() -> None:
    assert rungs([0.7, 0.6]) == [0, 0]


@pytest.mark.parametrize(("left_s", "rung"), [(0.59, 1), (0.4, 1), (0.39, 2), (0.1, 2), (-3.0, 2)])
def test_it_goes_down_at_once_as_far_as_is_needed(left_s: float, rung: int) -> None:
    assert rungs([left_s]) == [rung]


def test_it_climbs_a_rung_at_a_time_after_so_many_calm_turns() -> None:
    assert rungs([0.1, *[1.0] * 7]) == [2, 2, 2, 1, 1, 1, 0, 0]


def test_a_turn_without_slack_starts_the_count_again() -> None:
    barely = 0.45  # enough for the rung above, but with less than a fifth to spare
    assert rungs([0.1, 1.0, 1.0, barely, 1.0, 1.0, 1.0]) == [2, 2, 2, 2, 2, 2, 1]


def test_where_nothing_is_fast_enough_it_is_the_fastest_and_of_equals_the_best() -> None:
    assert choose((0.6, 0.6), 0.1, Place(), RULES).rung == 0
    assert choose((0.6, 0.4, 0.4), 0.1, Place(), RULES).rung == 1


@pytest.mark.parametrize(("pressure", "rung"), [(0.0, 0), (0.3, 0), (0.34, 1), (0.67, 2), (1.0, 2)])
def test_pressure_takes_the_upper_rungs_away(pressure: float, rung: int) -> None:
    assert rungs([10.0], pressure=pressure) == [rung]


def test_when_the_pressure_is_gone_it_climbs_as_ever() -> None:
    assert rungs([10.0] * 4, start=Place(1)) == [1, 1, 0, 0]


lefts = st.lists(st.floats(-1, 2), max_size=30)


@given(lefts, st.floats(0, 1))
def test_it_is_in_time_whenever_a_rung_is(left_s: list[float], pressure: float) -> None:
    for left, rung in zip(left_s, rungs(left_s, pressure=pressure), strict=True):
        assert CAREFUL_S[rung] <= left or rung == len(CAREFUL_S) - 1


@given(lefts)
def test_it_never_climbs_more_than_a_rung_in_three_turns(left_s: list[float]) -> None:
    found = rungs(left_s)
    for now, later in zip(found, found[3:], strict=False):
        assert later >= now - 1
    for now, next_one in pairwise(found):
        assert next_one >= now - 1
