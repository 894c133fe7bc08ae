"""Word errors, and what is done to a text before its words are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.bench.wer import normalise, word_errors

WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What is the capital of France?", "what is the capital of france"),
        ("(3 seconds of silence)", ""),
        ("IAX (note: does not say 2)", "iax"),
        ("I'm sorry, you’re muted.", "im sorry youre muted"),  # noqa: RUF001 - both kinds occur
        ("cold-hearted", "cold hearted"),
        ("M I S D N", "misdn"),
        ("M-I-S-D-N", "misdn"),
        ("press * or #", "press star or pound"),
        ("17 plus 25", "seventeen plus twenty five"),
        ("29340", "two nine three four zero"),
        ("1,005 words", "one thousand and five words"),
        ("007", "zero zero seven"),
        ("the 2nd of 3", "the second of three"),
        ("Mr. John", "mister john"),
        ("100%", "one hundred percent"),
    ],
)
def test_texts_that_sound_alike_look_alike(text: str, words: str) -> None:
    assert normalise(text) == words.split()


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "a x c", 1),
        ("a b c", "a c", 1),
        ("a b", "a b c", 1),
        ("", "a b", 2),
        ("a", "", 1),
    ],
)
def test_errors_are_counted(reference: str, hypothesis: str, errors: int) -> None:
    assert word_errors(reference.split(), hypothesis.split()) == errors


@given(WORDS, WORDS, WORDS)
def test_errors_are_a_distance(one: list[str], two: list[str], three: list[str]) -> None:
    assert (word_errors(one, two) == 0) == (one == two)
    assert word_errors(one, two) == word_errors(two, one)
    assert word_errors(one, three) <= word_errors(one, two) + word_errors(two, three)
