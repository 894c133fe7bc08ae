"""Clauses: where a reply is cut, and that the pieces it streams in do not matter."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicebot.turn.chunker import ClauseChunker, ClauseRules
from voicebot.turn.wording import words

RULES = ClauseRules(first_letters=8, first_words=6, later_words=12, open_words=frozenset({("and",), ("the",), ("of",)}))


def clauses(text: str, rules: ClauseRules = RULES, cuts: tuple[int, ...] = ()) -> list[str]:
    """Return a text's clauses, when it is fed in pieces that begin at `cuts`."""
    chunker = ClauseChunker(rules)
    bounds = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    found = [clause for begin, end in pairwise(bounds) for clause in chunker.feed(text[begin:end])]
    return found + chunker.finish()


def test_the_first_clause_ends_at_a_comma_and_later_ones_with_the_sentence() -> None:
    assert clauses("Well of course, it rains, snows and hails. Take a coat, please. Bye.") == [
        "Well of course,",
        "it rains, snows and hails.",
        "Take a coat, please.",
        "Bye.",
    ]


def test_a_clause_comes_as_soon_as_the_space_after_it() -> None:
    chunker = ClauseChunker(RULES)
    assert chunker.feed("It is raining.") == []
    assert chunker.feed(" ") == ["It is raining."]
    assert chunker.feed("Take a coat. N") == ["Take a coat."]
    assert chunker.finish() == ["N"]
    assert chunker.finish() == []


def test_a_first_clause_with_too_few_letters_is_not_cut() -> None:
    assert clauses("Yes, it is. So there.") == ["Yes, it is. So there."]
    assert clauses("Yes, it is so. There.") == ["Yes, it is so.", "There."]


def test_without_a_pause_the_first_clause_ends_after_some_words() -> None:
    assert clauses("one two three four five six seven eight nine") == [
        "one two three four five six",
        "seven eight nine",
    ]


def test_a_pause_that_comes_too_late_does_not_delay_the_first_clause() -> None:
    assert clauses("one two three four five six seven eight, nine. Ten.")[0] == "one two three four five six"


def test_a_long_later_sentence_is_cut_at_its_last_pause() -> None:
    text = "Here we go. " + "a b c d, e f g; h i j k l m n o."
    assert clauses(text)[1:] == ["a b c d, e f g;", "h i j k l m n o."]


def test_a_long_later_sentence_without_a_pause_is_cut_at_a_word() -> None:
    words = [f"w{number}" for number in range(30)]
    assert clauses("Here we go. " + " ".join(words))[1:] == [
        " ".join(words[:12]),
        " ".join(words[12:24]),
        " ".join(words[24:]),
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "Ask Dr. Watson or Mrs. Hudson.",
        "It opens at 9 a.m. on Mondays.",
        "Try fruit, e.g. apples, i.e. pears.",
        "That was J. S. Bach.",
        "It weighs 3.5 or 4.75 pounds.",
        "Pi is about 3.14159.",
        "See example.com for more.",
        "Version 1.2.3 is out.",
    ],
)
def test_a_full_stop_inside_a_sentence_does_not_end_it(sentence: str) -> None:
    assert clauses(f"Here we go now. {sentence} Then more.") == ["Here we go now.", sentence, "Then more."]


def test_a_number_at_the_end_of_a_sentence_ends_it() -> None:
    assert clauses("The answer is 42. Anything else?") == ["The answer is 42.", "Anything else?"]


def test_the_number_of_a_list_item_stays_with_it() -> None:
    assert clauses("Here you are:\n1. Apples\n2. Ripe pears\n") == ["Here you are:", "1. Apples", "2. Ripe pears"]


@pytest.mark.parametrize("dots", ["...", "…", "?!", "!!!", "?..."])
def test_several_signs_end_a_sentence_together(dots: str) -> None:
    assert clauses(f"Let me think{dots} Perhaps{dots} No.") == [f"Let me think{dots}", f"Perhaps{dots}", "No."]


@pytest.mark.parametrize(("opening", "closing"), ['""', "''", "()", "“”", "‘’", "«»", "[]"])  # noqa: RUF001
def test_a_closing_quote_belongs_to_its_sentence(opening: str, closing: str) -> None:
    quoted = f"He told me {opening}go away.{closing}"
    assert clauses(f"{quoted} And {opening}now!{closing} I went.") == [quoted, f"And {opening}now!{closing}", "I went."]


def test_a_line_ends_a_clause_without_any_sign() -> None:
    assert clauses("Shopping list\n\n  bread and butter\nmilk") == ["Shopping list", "bread and butter", "milk"]


@pytest.mark.parametrize("dash", ["-", "–", "—"])  # noqa: RUF001
def test_a_dash_between_words_is_a_pause_and_a_hyphen_is_none(dash: str) -> None:
    assert clauses(f"A well-known fact {dash} it rains.") == [f"A well-known fact {dash}", "it rains."]


def test_other_scripts_count_as_letters() -> None:
    assert clauses("Конечно, могу. Ещё?") == ["Конечно, могу.", "Ещё?"]
    assert clauses("Ça m'étonne, vraiment. Où?") == ["Ça m'étonne,", "vraiment.", "Où?"]


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", "\t \u00a0"])
def test_nothing_has_no_clauses(text: str) -> None:
    assert clauses(text) == []


def test_signs_without_words_stay_with_what_follows() -> None:
    assert clauses("... !!! --- Here it comes. Yes.") == ["... !!! --- Here it comes.", "Yes."]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("It is a warm day. We go, I think, to the sea and the", ["It is a warm day."]),
        ("It is a warm day. We go now.", ["It is a warm day.", "We go now."]),
        ("Yes. We go to the", ["Yes."]),
        ("He told me “go away.” And then I", ["He told me “go away.”"]),
        ("Fruit to buy\nripe pears\nsome bana", ["Fruit to buy", "ripe pears"]),
        (
            "Here we go. It is a, b, c, d and e, f g h i j k l m n and the",
            ["Here we go.", "It is a, b, c, d and e,", "f g h i j k l m n."],
        ),
        ("Well of course, it rains, it snows and the", ["Well of course,", "it rains."]),
        ("Well of course, it rains and of the", ["Well of course,", "it rains."]),
        ("Well of course, the", ["Well of course,"]),
        ("a cold and wet day of", ["a cold and wet day."]),
        ("Ask Dr. Wat", ["Ask Dr."]),
        ("the and of", ["the and of"]),
        ("Perha", ["Perha"]),
        ("", []),
    ],
)
def test_a_reply_that_was_too_long_ends_with_what_sounds_like_an_end(text: str, spoken: list[str]) -> None:
    chunker = ClauseChunker(RULES)
    assert chunker.feed(text) + chunker.finish(cut_short=True) == spoken


WORDS = st.sampled_from(
    ["a", "is", "Mr.", "no.", "well,", "then;", "so:", "3.5", "42.", "1.", "end.", "what?", "“hm…”", "-", "—", "naïve"]
)
SPACES = st.sampled_from([" ", " ", " ", "  ", "\n", "\n\n", "\t", "\u00a0"])
PROSE = st.lists(st.one_of(WORDS, SPACES), max_size=80).map("".join)
TEXTS = st.one_of(PROSE, st.text(max_size=120))
ANY_RULES = st.builds(ClauseRules, st.integers(1, 12), st.integers(2, 12), st.integers(4, 26))


@given(TEXTS, ANY_RULES, st.lists(st.integers(0, 400), max_size=20))
@example("one two three four five six Mr.\n\n seven", RULES, [32])
@example("one two three four five six seven, eight", RULES, [29])
def test_the_cuts_do_not_depend_on_the_pieces(text: str, rules: ClauseRules, cuts: list[int]) -> None:
    assert clauses(text, rules, tuple(cuts)) == clauses(text, rules) == clauses(text, rules, tuple(range(len(text))))


@given(TEXTS, ANY_RULES)
def test_the_clauses_are_the_whole_text(text: str, rules: ClauseRules) -> None:
    assert " ".join(clauses(text, rules)) == " ".join(text.split())


@given(TEXTS, ANY_RULES)
def test_a_reply_that_was_too_long_has_no_other_words(text: str, rules: ClauseRules) -> None:
    chunker = ClauseChunker(rules)
    spoken = words(" ".join(chunker.feed(text) + chunker.finish(cut_short=True)))
    assert spoken == words(text)[: len(spoken)]


@given(TEXTS, ANY_RULES)
def test_no_clause_is_longer_than_allowed(text: str, rules: ClauseRules) -> None:
    lengths = [len(clause.split()) for clause in clauses(text, rules)]
    longest = max(rules.first_words, rules.later_words) + 1  # the last one may end the reply
    assert all(length <= longest for length in lengths)
