"""What of the user's words is kept as he said it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.assistant.facts import Fact, FactFinder, newest
from voicebot.config.history import HistorySettings

FINDER = FactFinder(HistorySettings())


def facts(text: str) -> list[str]:
    return [fact.text for fact in FINDER.find(text)]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Hi, my name is Anna and I live in Berlin.", ["my name is Anna", "I live in Berlin"]),
        ("hi my name is Dr. Smith", ["my name is Dr. Smith"]),
        ("I\N{RIGHT SINGLE QUOTATION MARK}m allergic to nuts. What can I eat?", ["I\u2019m allergic to nuts"]),
        ("Please remember that I park on level three!", ["remember that I park on level three"]),
        ("Remember that my name is Bob", ["my name is Bob"]),
        ("Can you remember that I'm a vegetarian?", ["Can you remember that I'm a vegetarian"]),
        ("Remember, my favourite colour is blue.", ["my favourite colour is blue"]),
        ("Call me a taxi. Well, call me Bob.", ["call me Bob"]),
        ("I live in St. Ives because I work at the harbour", ["I live in St. Ives", "I work at the harbour"]),
        ("No, YOU CAN CALL ME Al", ["YOU CAN CALL ME Al"]),
    ],
)
def test_facts_are_kept_word_by_word(said: str, kept: list[str]) -> None:
    assert facts(said) == kept


@pytest.mark.parametrize(
    "said",
    [
        "",
        "What is my name?",
        "Do you remember that film?",
        "I remember that she sang",
        "Remember to buy milk.",
        "My name is",
        "Don't call me names",
        "Tell me about the town that they live in.",
    ],
)
def test_what_states_nothing_is_no_fact(said: str) -> None:
    assert facts(said) == []


def test_of_some_facts_there_is_one_and_the_newest_counts() -> None:
    said = "My name is Bob. I'm allergic to nuts. My name is Rob, and I'm allergic to eggs. I'm allergic to nuts."
    kept = newest(FINDER.find(said), 400)
    assert [fact.text for fact in kept] == ["My name is Rob", "I'm allergic to eggs", "I'm allergic to nuts"]


def test_the_newest_are_kept_when_there_are_too_many_and_one_too_long_is_not() -> None:
    many = [Fact(f"kind {number}", f"{number:010}") for number in range(9)]
    assert [fact.kind for fact in newest(many, 35)] == ["kind 6", "kind 7", "kind 8"]
    assert newest([*many, Fact("long", "x" * 36)], 35) == tuple(many[-3:])
    assert newest(many, 0) == ()


def test_without_phrases_there_are_no_facts() -> None:
    nothing = HistorySettings(facts=(), single_facts=(), not_facts=(), fact_leads=())
    assert list(FactFinder(nothing).find("My name is Bob, remember that.")) == []


WORDS = st.sampled_from(["my name is", "remember", "call me", "Bob", "and", ",", ".", "?", " ", "that", "I'm from"])


@given(st.lists(WORDS, max_size=12).map(" ".join) | st.text())
def test_a_fact_is_always_a_part_of_what_was_said(text: str) -> None:
    for fact in FINDER.find(text):
        assert fact.text in text
        assert fact.kind
