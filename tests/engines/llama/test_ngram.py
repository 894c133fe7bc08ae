"""How what was seen before went on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.engines.llama.ngram import Match, NgramIndex

Tokens = st.lists(st.integers(0, 3), max_size=13)  # so few that a query looks at all places


def index_of(*tokens: int) -> NgramIndex:
    index = NgramIndex()
    index.extend(tokens)
    return index


def searched(held: Sequence[int], last: Sequence[int], most: int) -> Match | None:
    """Look at every place, and take what those with the longest common suffix, or 6 tokens of it, all go on with."""
    places = []
    for end in range(2, len(held)):
        limit = min(end, len(last), NgramIndex.LONGEST)
        length = next((n for n in range(limit) if held[end - 1 - n] != last[-1 - n]), limit)
        if length >= 2:
            places.append((length, list(held[end : end + most])))
    if not places:
        return None
    longest = max(length for length, _ in places)
    ways = [way for length, way in places if length >= min(longest, 6)]
    common = next(n for n in range(most, -1, -1) if all(way[:n] == ways[0][:n] and len(way) >= n for way in ways))
    return Match(tuple(ways[0][:common]), longest) if common else None


@given(Tokens, Tokens, st.integers(1, 5))
def test_it_finds_what_a_search_of_everything_finds(held: list[int], last: list[int], most: int) -> None:
    index = index_of(*held)
    assert index.find(last, most) == searched(held, last, most)
    assert index.find(held, most) == searched(held, held, most)


@given(Tokens, Tokens, Tokens)
def test_truncated_it_is_as_if_the_rest_had_never_been(held: list[int], more: list[int], last: list[int]) -> None:
    index = index_of(*held, *more)
    index.truncate(len(held))
    assert index.find(last, 4) == index_of(*held).find(last, 4)
    assert index.length == len(held)
    index.extend(more)
    assert index.find(last, 4) == index_of(*held, *more).find(last, 4)


def test_the_longer_match_is_preferred_to_the_later_one() -> None:
    index = index_of(1, 2, 3, 10, 9, 2, 3, 20, 8)
    assert index.propose((5, 1, 2, 3), 1) == (10,)
    assert index.propose((5, 9, 2, 3), 1) == (20,)
    assert index.propose((5, 6, 7, 3), 1) == ()


def test_what_went_on_in_several_ways_tells_nothing() -> None:
    index = index_of(1, 2, 3, 4, 10, 9, 2, 3, 4, 20, 8)
    assert index.propose((5, 6, 2, 3), 3) == (4,)  # as far as they agree
    assert index.propose((5, 6, 3, 4), 3) == ()


def test_many_equal_tokens_are_compared_even_with_more() -> None:
    same = (1, 2, 3, 4, 5, 6)
    index = index_of(0, *same, 10, 9, *same, 20, 8)
    assert index.propose((0, *same), 1) == ()
    assert index.propose((0, *same[-3:]), 1) == ()


def test_a_long_match_is_measured_up_to_a_limit() -> None:
    index = index_of(*range(30), 99)
    assert index.find((77, *range(20, 30)), 1) == Match((99,), 10)
    assert index.find(tuple(range(30)), 1) == Match((99,), NgramIndex.LONGEST)


def test_the_end_is_no_place_to_go_on_from() -> None:
    assert index_of(1, 2).propose((1, 2), 4) == ()
    assert index_of(1, 2, 3, 1, 2).propose((1, 2), 4) == (3, 1, 2)


@pytest.mark.parametrize(("last", "most"), [((), 4), ((1,), 4), ((1, 2), 0)])
def test_with_nothing_to_go_by_or_no_room_there_is_no_proposal(last: tuple[int, ...], most: int) -> None:
    assert index_of(1, 2, 3).propose(last, most) == ()


def test_sequences_of_their_own_dont_run_into_each_other() -> None:
    index = NgramIndex()
    index.add_sequence((1, 2, 3))
    index.add_sequence((4, 5, 6))
    assert index.propose((1, 2), 9) == (3,)
    assert index.propose((2, 3), 9) == ()
    assert index.propose((3, 4), 9) == ()
    assert index.find((2, 3, 4, 5), 9) == Match((6,), 2)


def test_it_forgets_the_older_half_when_it_is_full() -> None:
    index = NgramIndex(most_tokens=100)
    tokens = np.random.default_rng(1).permutation(1000).tolist()
    for token in tokens:
        index.extend([token])
        assert len(index.tail(1000)) <= 100
    assert index.length == 1000
    assert index.propose(tokens[-40:-38], 3) == tuple(tokens[-38:-35])
    assert index.propose(tokens[10:12], 3) == ()
    assert len(index._last) == len(index._before) <= 100


@pytest.mark.parametrize(("length", "left"), [(997, 3), (500, 0), (0, 0)])
def test_truncating_counts_the_forgotten(length: int, left: int) -> None:
    index = NgramIndex(most_tokens=100)
    index.extend(range(1000))
    held = index.tail(1000)
    index.truncate(length)
    assert index.length == length
    assert index.tail(1000) == (held[:-left] if left else [])
    assert index.common_prefix(range(1000)) == 0


def test_a_query_looks_at_few_places() -> None:
    """However often the last two tokens have been said, the latest places are what is compared."""
    index = NgramIndex()
    for other in range(100, 1100):
        index.extend((other, 1, 2))
    assert index.find((1090, 1, 2), 1) == Match((1091,), 3)
    assert index.find((500, 1, 2), 1) is None  # the latest places disagree, and that one is not looked at
