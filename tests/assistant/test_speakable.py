"""What a model writes, as it is handed to the synthesizer."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.assistant.speakable import speakable


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("It is raining.", "It is raining."),
        ("This is **very** _important_.", "This is very important."),
        ("# Weather", "Weather"),
        ("- Apples", "Apples"),
        ("  • Pears", "Pears"),
        ("> quoted", "quoted"),
        ("Run `ls` now.", "Run ls now."),
        ("See [the manual](https://example.com/a_b).", "See the manual."),
        ("![A cat](cat.png) sleeps.", "A cat sleeps."),
        ("Well done! 🎉👍🏽", "Well done!"),
        ("I ❤️ you.", "I you."),
        ("Press 1️⃣ now.", "Press 1 now."),
        ("one\ttwo\nthree", "one two three"),
        ("ex\u00adample \u200bword", "example word"),
        ("a\x00b", "a b"),
        ("Ça va, naïve Москва?", "Ça va, naïve Москва?"),
    ],
)
def test_only_what_can_be_said_is_left(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


@pytest.mark.parametrize("clause", ["42. Anything else?", "1. Apples", "It is -5 °C, or 23°F.", "50% of $3.20 & more"])
def test_numbers_and_their_units_are_kept(clause: str) -> None:
    assert speakable(clause) == clause


@pytest.mark.parametrize("clause", ["", " ", "...", "***", "---", "🎉", "👨‍👩‍👧", "?!", "❤️"])
def test_a_clause_without_words_is_empty(clause: str) -> None:
    assert speakable(clause) == ""


@given(st.text())
def test_the_result_is_clean_and_stays_as_it_is(clause: str) -> None:
    spoken = speakable(clause)
    assert spoken == " ".join(spoken.split())
    assert not spoken or any(map(str.isalnum, spoken))
    assert not {unicodedata.category(sign) for sign in spoken} & {"Cc", "Cs", "Co"}
