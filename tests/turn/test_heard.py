"""What was heard of a reply follows from the samples that were played."""

from __future__ import annotations

from itertools import accumulate

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


def timed(*clauses: tuple[str, tuple[int, ...], int, int]) -> HeardReply:
    """Return a reply of clauses, each with its text, where its words end, its samples, and how many were played."""
    made = HeardReply()
    for text, ends, samples, played in clauses:
        number = made.add_clause(text)
        made.add_words(number, ends)
        made.add_audio(number, samples)
        made.complete_clause(number)
        made.add_played(number, played)
    return made


@pytest.mark.parametrize(
    ("played", "heard"),
    [
        (0, ""),
        (399, ""),
        (400, "a"),  # a short word lacks a fifth
        (500, "a"),
        (19_539, "a"),
        (19_540, "a verylongword"),  # a long one lacks 60 ms
        (20_500, "a verylongword"),
        (29_999, "a verylongword so."),
        (30_000, "a verylongword so."),
    ],
)
def test_known_times_say_which_word_was_heard(played: int, heard: str) -> None:
    assert timed(("a verylongword so.", (500, 20_500, 21_000), 30_000, played)).heard == heard


def test_words_become_known_sentence_by_sentence() -> None:
    made = HeardReply()
    clause = made.add_clause("Yes. It is.")
    made.add_words(clause, (5000,))
    made.add_audio(clause, 8000)
    made.add_played(clause, 8000)
    assert made.heard == "Yes."
    made.add_words(clause, (9000, 15_000))
    made.add_audio(clause, 8000)
    assert made.heard == "Yes."
    made.add_played(clause, 1000)
    assert made.heard == "Yes. It"


@pytest.mark.parametrize(
    ("played", "there", "heard"),
    [
        ((0, 0), (0, 0), ""),
        ((5000, 0), (0, 0), ""),
        ((11_000, 0), (0, 10_000), "one"),
        ((15_000, 0), (0, 10_000), "one"),
        ((9500, 0), (0, 9500), "one"),  # what is missing of a word that was heard follows
        ((19_500, 0), (1, 0), "one two"),
        ((22_000, 0), (1, 0), "one two"),  # the pause at the end need not be heard
        ((24_000, 0), (1, 0), "one two"),
        ((24_000, 3000), (1, 0), "one two"),
        ((24_000, 9000), (1, 4000), "one two three"),
        ((24_000, 13_000), (2, 0), "one two three four"),
    ],
)
def test_it_goes_back_to_the_first_word_that_was_not_heard(
    played: tuple[int, int], there: tuple[int, int], heard: str
) -> None:
    first, second = played
    made = timed(("one two", (10_000, 20_000), 24_000, first), ("three four", (4000, 13_000), 13_000, second))
    assert made.rewind_to_word() == there
    assert made.heard == heard
    assert made.rewind_to_word() == there


def test_after_going_back_what_is_played_again_is_heard_once() -> None:
    made = timed(("one two", (10_000, 20_000), 24_000, 15_000))
    assert made.rewind_to_word() == (0, 10_000)
    made.add_played(0, 14_000)
    assert made.heard == "one two"


def test_without_known_times_it_goes_back_in_proportion() -> None:
    made = reply(("ab cd ef", 900, 700), ("gh", 900, 0))
    assert made.rewind_to_word() == (0, 600)
    assert made.heard == "ab cd"


def test_a_clause_of_which_more_may_come_is_not_left() -> None:
    made = HeardReply()
    clause = made.add_clause("Yes. It is.")
    assert made.rewind_to_word() == (0, 0)
    made.add_words(clause, (5000,))
    made.add_audio(clause, 8000)
    made.add_played(clause, 8000)
    assert made.rewind_to_word() == (0, 5000)


def test_a_clause_without_a_sound_is_passed_by() -> None:
    made = timed(("...", (), 0, 0), ("one", (5000,), 5000, 100))
    assert made.rewind_to_word() == (1, 0)


def test_going_back_in_an_empty_reply_is_its_beginning() -> None:
    assert HeardReply().rewind_to_word() == (0, 0)


@given(
    st.lists(st.tuples(st.lists(st.integers(1, 9000), min_size=1, max_size=5), st.booleans()), min_size=1, max_size=4),
    st.integers(0, 100_000),
)
def test_going_back_never_goes_forward_and_keeps_what_was_heard(
    clauses: list[tuple[list[int], bool]], played: int
) -> None:
    made = HeardReply()
    for lengths, known in clauses:
        number = made.add_clause(" ".join("word" for _ in lengths))
        made.add_words(number, list(accumulate(lengths)) if known else ())
        made.add_audio(number, sum(lengths) + 500)
        made.complete_clause(number)
        now = min(played, sum(lengths) + 500)
        made.add_played(number, now)
        played -= now
    before = made.heard
    clause, sample = made.rewind_to_word()
    assert made.heard == before
    assert 0 <= clause <= len(clauses)
    if clause < len(clauses):
        lengths, _ = clauses[clause]
        assert 0 <= sample <= sum(lengths) + 500
        made.add_played(clause, sum(lengths) + 500 - sample)
        assert len(made.heard.split()) == sum(len(lengths) for lengths, _ in clauses[: clause + 1])


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
