"""Guesses at a reply are watched before they are tried, and trusted as far as they were right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicebot.engines.llama.drafts import Draft
from voicebot.engines.llama.guesses import Guesses

FIVE = Draft((11, 12, 13, 14, 15), "ngram", match_length=4)


def test_a_watched_guess_is_judged_when_its_first_tokens_came() -> None:
    guesses = Guesses()
    guesses.watch(FIVE, 2)
    assert guesses.watched([1, 2]) is None
    assert guesses.watched([1, 2, 11, 12]) is None
    assert guesses.watched([1, 2, 11, 12, 13, 14]) == (FIVE.first(3), 3)
    assert guesses.watched([1, 2, 11, 12, 13, 14]) is None, "it was judged twice"


def test_a_watched_guess_is_judged_at_the_first_other_token() -> None:
    guesses = Guesses()
    guesses.watch(FIVE, 0)
    assert guesses.watched([11, 99]) == (FIVE.first(3), 1)


def test_while_one_is_watched_no_other_is_looked_for() -> None:
    guesses = Guesses()
    assert guesses.look()
    guesses.watch(FIVE, 0)
    assert not guesses.look()
    guesses.watched([99])
    assert guesses.look()


def test_where_nothing_is_right_it_looks_in_every_third_step() -> None:
    guesses = Guesses()
    assert [guesses.look() for _ in range(9)] == [True, True, True, False, False, True, False, False, True]
    guesses.judge(3, 1)
    assert all(guesses.look() for _ in range(3))


def test_as_much_is_tried_as_was_right_and_after_a_wrong_one_the_next_is_watched() -> None:
    guesses = Guesses()
    first = guesses.room
    guesses.judge(first, first)
    assert guesses.room == 2 * first
    guesses.judge(2 * first, 1)
    assert guesses.room == first
    guesses.judge(first, 0)
    assert guesses.room == 0
    guesses.watch(FIVE, 0)
    assert guesses.watched([11, 12, 13]) is not None
    guesses.judge(3, 3)
    assert guesses.room > first


@given(history=st.lists(st.integers(10, 16), max_size=8), begin=st.integers(0, 8))
def test_what_came_decides(history: list[int], begin: int) -> None:
    guesses = Guesses()
    guesses.watch(FIVE, begin)
    came, judged = history[begin : begin + 3], guesses.watched(history)
    if judged is None:
        assert tuple(came) == FIVE.tokens[: len(came)]
    else:
        _, right = judged
        assert tuple(came[:right]) == FIVE.tokens[:right]
        assert right == 3 or came[right] != FIVE.tokens[right]
