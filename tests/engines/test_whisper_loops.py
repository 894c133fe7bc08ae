"""Whisper's repetition on short windows: how it is seen, and what is left of the text without it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.engines.whisper_loops import stutters, too_many_words, without_loop


@pytest.mark.parametrize(
    ("text", "once"),
    [
        ("a b c a b c", "a b c"),
        ("a b c a b c a b", "a b c"),
        ("a b c x y z x y z x", "a b c x y z"),
        ("no no no no no no", "no no"),
        ("15 minutes 15 minutes", "15 minutes"),
        ("Press one to call, press ONE to call. Press one", "Press one to call,"),
        ("Turn it off. Turn it off. Turn i", "Turn it off."),
        ("Set an alarm clock. Set an alarmclock. Set an", "Set an alarm clock."),
        ("it's ten o'clock its ten oclock", "it's ten o'clock"),
    ],
)
def test_a_phrase_said_again_to_the_end_is_said_once(text: str, once: str) -> None:
    assert without_loop(text) == once


@pytest.mark.parametrize(
    "text",
    [
        "",
        "press one",
        "press one to call this number",
        "a b c a b",  # the second copy is not whole
        "one one",  # a phrase has two words
        "a b c a b c d",  # what follows is something else
        ". . . . . .",
    ],
)
def test_anything_else_is_no_loop(text: str) -> None:
    assert without_loop(text) is None


@pytest.mark.parametrize("text", ["ha ha ha ha ha ha ha", "Hahahahahahaha", "brrrrrrr", "well la la la la la la la"])
def test_one_syllable_without_end_is_a_stutter(text: str) -> None:
    assert stutters(text)


@pytest.mark.parametrize(
    "text", ["", "ha ha ha", "banana", "ha ha ha ha ha ha ha, very funny", "one two one two one two"]
)
def test_a_few_syllables_or_what_goes_on_is_no_stutter(text: str) -> None:
    assert not stutters(text)


def test_nobody_says_more_than_nine_words_in_two_seconds() -> None:
    assert not too_many_words("one two three four five six seven eight nine", 2.0)
    assert too_many_words("one two three four five six seven eight nine ten", 2.0)
    assert not too_many_words("", 0.0)


WORDS = st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta"]), max_size=12)
LETTERS = "bcdfghjk"


@given(WORDS, st.permutations(LETTERS), st.integers(3, 8), st.integers(2, 4), st.data())
def test_a_loop_is_found_whatever_comes_before_it_and_wherever_it_breaks_off(
    before: list[str], letters: list[str], length: int, copies: int, data: st.DataObject
) -> None:
    phrase = [letter * 3 for letter in letters[:length]]
    repeated = " ".join(phrase * copies)
    rest = " ".join(phrase)[: data.draw(st.integers(0, 4 * length - 1))]
    assert without_loop(" ".join([*before, repeated, rest])) == " ".join([*before, *phrase])


@given(st.lists(st.integers(0, 10**6).map(lambda number: f"w{number:06}"), unique=True, max_size=40))
def test_words_that_are_all_different_are_no_loop(words: list[str]) -> None:
    assert without_loop(" ".join(words)) is None
