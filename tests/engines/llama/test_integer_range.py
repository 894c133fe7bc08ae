"""The expression for a range, read as a regular expression: which numbers does it match?"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.engines.llama.integer_range import integers

SMALL = st.integers(-2000, 2000)


def matches(expression: str, text: str) -> bool:
    """An expression of literals, classes, groups and alternatives is a regular expression but for its quotes."""
    return re.fullmatch(re.sub('[" ]', "", expression), text) is not None


@given(SMALL, SMALL, SMALL)
def test_exactly_the_numbers_of_the_range_match(one: int, other: int, number: int) -> None:
    low, high = sorted((one, other))
    assert matches(integers(low, high), str(number)) == (low <= number <= high)


@given(st.integers(-(10**15), 10**15), st.integers(0, 10**6), st.integers(-1, 1))
def test_the_ends_of_wide_ranges_are_exact(low: int, width: int, step: int) -> None:
    expression = integers(low, low + width)
    assert matches(expression, str(low + step)) == (0 <= step <= width)
    assert matches(expression, str(low + width + step)) == (-width <= step <= 0)


def test_every_number_of_a_range_matches_and_no_other() -> None:
    expression = integers(7, 1234)
    assert [number for number in range(-20, 20_000) if matches(expression, str(number))] == list(range(7, 1235))


@pytest.mark.parametrize("text", ["007", "-0", "+1", "", "1.0", "-", "1 "])
def test_a_number_is_written_in_one_way_only(text: str) -> None:
    assert not matches(integers(-10, 10), text)


def test_an_open_end_has_no_limit_that_a_person_would_meet() -> None:
    assert matches(integers(5, None), "9" * 16)
    assert not matches(integers(5, None), "4")
    assert matches(integers(None, -3), "-" + "9" * 16)
    assert not matches(integers(None, -3), "-2")


def test_an_empty_range_is_an_error() -> None:
    with pytest.raises(ValueError, match="no whole number from 3 to 2"):
        integers(3, 2)
