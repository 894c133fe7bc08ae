"""Words as they are compared, and phrases found in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.turn.wording import begins_with, consists_of, phrases, share_said_in, words

KNOWN = phrases(["stop", "stop it", "hold on", "okay", "right", "mm-hm"])
WORD = st.sampled_from(["stop", "it", "hold", "on", "okay", "right", "mmhm", "no", "paris"])
SPOKEN = st.lists(WORD, max_size=8)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        (" ... ?!", ()),
        ("Stop.", ("stop",)),
        ("Mm-hm, what's that?", ("mmhm", "whats", "that")),
        ("that\N{RIGHT SINGLE QUOTATION MARK}s enough", ("thats", "enough")),
        ("UH-HUH", ("uhhuh",)),
        ("wait-", ("wait",)),
        ("'wait'", ("wait",)),
        ("snake_case", ("snake", "case")),
        ("It is 23.5 °C", ("it", "is", "23", "5", "c")),
        ("Straße, ÉTÉ", ("strasse", "été")),
        ("你好", ("你好",)),
        ("a\nb\tc", ("a", "b", "c")),
    ],
)
def test_words_are_small_and_without_punctuation(text: str, found: tuple[str, ...]) -> None:
    assert words(text) == found


@given(st.text())
def test_words_of_words_are_the_same(text: str) -> None:
    once = words(text)
    assert all(once)
    assert words(" ".join(once)) == once


def test_phrases_are_words_and_empty_ones_are_none() -> None:
    assert phrases(["Stop it!", "stop it", "...", "", "Okay"]) == {("stop", "it"), ("okay",)}


@pytest.mark.parametrize(
    ("text", "so"),
    [
        ("stop", True),
        ("Stop, please", True),
        ("hold on a moment", True),
        ("hold", False),
        ("please stop", False),
        ("stopping", False),
        ("", False),
    ],
)
def test_it_begins_with_a_phrase(text: str, so: bool) -> None:
    assert begins_with(words(text), KNOWN) is so


@pytest.mark.parametrize(
    ("text", "so"),
    [
        ("okay", True),
        ("right, okay", True),
        ("stop stop stop it", True),
        ("stop it it", False),
        ("hold on, right", True),
        ("hold right", False),
        ("okay so", False),
        ("so okay", False),
    ],
)
def test_it_consists_of_phrases(text: str, so: bool) -> None:
    assert consists_of(words(text), KNOWN) is so


def test_nothing_consists_of_any_phrases() -> None:
    assert consists_of((), KNOWN)
    assert consists_of((), frozenset())
    assert not consists_of(("stop",), frozenset())
    assert not begins_with(("stop",), frozenset())


@given(st.lists(st.sampled_from(sorted(KNOWN)), max_size=6))
def test_phrases_one_after_the_other_consist_of_phrases(said: list[tuple[str, ...]]) -> None:
    assert consists_of([word for phrase in said for word in phrase], KNOWN)


@given(SPOKEN, SPOKEN)
def test_what_consists_of_phrases_begins_with_one(first: list[str], second: list[str]) -> None:
    spoken = [*first, *second]
    if spoken and consists_of(spoken, KNOWN):
        assert begins_with(spoken, KNOWN)
    if consists_of(first, KNOWN) and consists_of(second, KNOWN):
        assert consists_of(spoken, KNOWN)


REPLY = "First of all the capital of France is Paris, and it is the largest city."


@pytest.mark.parametrize(
    ("spoken", "share"),
    [
        ("", 0.0),
        ("the capital of France", 1.0),
        ("capital France is", 1.0),  # a word was lost
        ("the capital off France", 0.75),  # a word was misheard
        ("Paris", 1.0),
        ("France capital", 0.5),  # not in order
        ("what about Spain", 0.0),
        ("capital Paris", 0.5),  # in order, but torn apart
        ("first city", 0.5),
    ],
)
def test_the_share_of_words_that_lie_together_in_a_text(spoken: str, share: float) -> None:
    assert share_said_in(words(spoken), words(REPLY)) == pytest.approx(share)


def test_of_an_empty_text_nothing_is_said() -> None:
    assert share_said_in(("paris",), ()) == 0


@given(SPOKEN, SPOKEN)
def test_a_share_is_between_none_and_all(spoken: list[str], text: list[str]) -> None:
    assert 0 <= share_said_in(spoken, text) <= 1
    assert share_said_in(spoken, ["other", *spoken, "other"]) == bool(spoken)
    if not set(spoken) & set(text):
        assert share_said_in(spoken, text) == 0


@given(SPOKEN, SPOKEN, SPOKEN)
def test_more_text_never_makes_the_share_smaller(spoken: list[str], text: list[str], more: list[str]) -> None:
    assert share_said_in(spoken, text) <= share_said_in(spoken, [*text, *more])
    assert share_said_in(spoken, text) <= share_said_in(spoken, [*more, *text])
