"""How soon work begins follows from how much of it is thrown away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.turn.eagerness import Eagerness, EagernessRules

RULES = EagernessRules(soonest_ms=64, latest_ms=224, wasted_share=0.3)


class Turns:
    """Tells of one turn after the other what it cost."""

    def __init__(self) -> None:
        self.eagerness = Eagerness(RULES)
        self._cpu_s = self._wasted_s = 0.0

    def of(self, cpu_s: float, wasted_s: float, times: int = 1) -> int:
        """Return the soft end after so many turns that cost as much."""
        for _ in range(times):
            self._cpu_s += cpu_s
            self._wasted_s += wasted_s
            self.eagerness.turn_ended(self._cpu_s, self._wasted_s)
        return self.eagerness.soft_end_ms


@pytest.fixture
def turns() -> Turns:
    return Turns()


def test_it_is_as_eager_as_it_may_be_at_first(turns: Turns) -> None:
    assert turns.eagerness.soft_end_ms == 64


def test_it_stays_eager_while_little_is_thrown_away(turns: Turns) -> None:
    assert turns.of(1.0, 0.29, 20) == 64


def test_each_wasteful_turn_makes_it_wait_a_chunk_longer_up_to_a_bound(turns: Turns) -> None:
    assert [turns.of(1.0, 0.5) for _ in range(7)] == [96, 128, 160, 192, 224, 224, 224]


def test_it_becomes_eager_again_when_waste_ends(turns: Turns) -> None:
    turns.of(1.0, 0.5, 10)
    after = [turns.of(1.0, 0.0) for _ in range(30)]
    assert after[0] == 224
    assert after[-1] == 64
    assert after == sorted(after, reverse=True)


def test_between_half_of_the_share_and_all_of_it_nothing_changes(turns: Turns) -> None:
    turns.of(1.0, 0.5, 3)
    turns.of(1.0, 0.2, 100)
    settled = turns.eagerness.soft_end_ms
    assert turns.of(1.0, 0.2, 20) == settled


def test_turns_long_ago_count_little(turns: Turns) -> None:
    turns.of(1.0, 0.0, 200)
    assert turns.of(1.0, 0.9, 3) > 64


@pytest.mark.parametrize("times", [1, 5])
def test_turns_that_cost_nothing_change_nothing(turns: Turns, times: int) -> None:
    assert turns.of(0.0, 0.0, times) == 64


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1)), max_size=40))
def test_it_stays_between_its_bounds(costs: list[tuple[float, float]]) -> None:
    turns = Turns()
    for cpu_s, share in costs:
        assert 64 <= turns.of(cpu_s, cpu_s * share) <= 224
