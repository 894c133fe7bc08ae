"""What was heard of a reply follows from the samples that were played."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.turn.heard import HeardReply


def reply(*clauses: tuple[str, int, int]) -> HeardReply:
    """Return a reply of clauses, each with its text, its samples, and how many were played."""
    made = HeardReply()
    for text, samples, played in clauses:
        number = made.add_clause(text)
        made.add_audio(number, samples)
        made.complete_clause(number)
        made.add_played(number, played)
    return made


def test_nothing_is_heard_before_it_is_played() -> None:
    made = reply(("Hello there.", 1000, 0), ("Bye.", 0, 0))
    assert (made.text, made.heard) == ("Hello there. Bye.", "")


def test_a_clause_that_was_played_was_heard_word_for_word() -> None:
    made = reply(("Hello there.", 1000, 1000), ("How are you?", 500, 0))
    assert made.heard == "Hello there."


@pytest.mark.parametrize(
    ("played", "heard"),
    [(0, ""), (299, ""), (300, "ab"), (599, "ab"), (600, "ab cd"), (899, "ab cd"), (900, "ab cd ef")],
)
def test_a_word_counts_when_it_was_played_to_its_end(played: int, heard: str) -> None:
    assert reply(("ab cd ef", 900, played)).heard == heard


def test_a_longer_word_takes_longer() -> None:
    assert reply(("extraordinary no", 1000, 500)).heard == ""
    assert reply(("no extraordinary", 1000, 500)).heard == "no"


def test_audio_and_playback_add_up_piece_by_piece() -> None:
    made = HeardReply()
    first, second = made.add_clause("one two"), made.add_clause("three")
    for _ in range(4):
        made.add_audio(first, 100)
        made.add_audio(second, 100)
        made.add_played(first, 100)
    made.complete_clause(first)
    made.add_played(second, 50)
    assert made.heard == "one two"


def test_a_clause_whose_audio_is_not_all_there_is_not_taken_for_heard() -> None:
    made = HeardReply()
    clause = made.add_clause("one two three four")
    made.add_audio(clause, 100)
    made.add_played(clause, 100)
    assert made.heard == ""
    made.add_audio(clause, 8000)
    made.add_played(clause, 8000)
    assert made.heard == "one two"


def test_an_empty_reply_is_empty() -> None:
    assert (HeardReply().text, HeardReply().heard) == ("", "")


@given(st.lists(st.text("ab c.", min_size=1, max_size=30), min_size=1), st.integers(1, 5000), st.data())
def test_more_playing_never_takes_words_back(texts: list[str], samples: int, data: st.DataObject) -> None:
    made = reply(*((text, samples, 0) for text in texts))
    before: list[str] = []
    for number, text in enumerate(texts):
        for played in data.draw(st.lists(st.integers(0, samples), max_size=4)):
            made.add_played(number, played)
            heard = made.heard.split()
            assert heard[: len(before)] == before
            before = heard
        made.add_played(number, samples)
        before = made.heard.split()
        assert before == " ".join(texts[: number + 1]).split(), text
