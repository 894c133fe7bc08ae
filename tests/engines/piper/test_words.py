"""Words are found again in what espeak makes of a clause, however it joins and splits them."""

# ruff: noqa: RUF001 - the sounds are in the phonetic alphabet

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.engines.piper.words import WordEnd, phoneme_ends, word_ends

Phonemize = Callable[[str], list[list[str]]]
IDS = {"^": [1], "_": [0], "$": [2], "a": [3], "b": [4, 5], " ": [6]}


def found(phonemize: Phonemize, text: str) -> list[str]:
    """Return what is said of each word, pauses and stress left out."""
    sentences = phonemize(text)
    ends = word_ends(sentences, text.split(), lambda word: [p for sentence in phonemize(word) for p in sentence])
    spoken, before = [], WordEnd(0, 0)
    for end in ends:
        rest = sentences[before.sentence][before.phonemes :] if before.sentence < end.sentence else []
        begin = 0 if before.sentence < end.sentence else before.phonemes
        sounds = "".join(rest + sentences[end.sentence][begin : end.phonemes])
        spoken.append("".join(sound for sound in sounds if sound.isalpha() and sound.lower() not in "\u02c8\u02cc"))
        before = end
    return spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("The capital of France is Paris.", "ðə kæpɪɾəl ʌv fɹæns ɪz pæɹɪs"),
        ("There are 15 of them in the house.", "ðɛɹ ɑːɹ fɪftiːn ʌv ðɛm ɪn ðə haʊs"),
        ("In 2024, it cost 3.50 dollars.", "ɪn tuːθaʊzəndtwɛntifɔːɹ ɪt kɔst θɹiːpɔɪntfaɪvziəɹoʊ dɑːlɚz"),
        ("It is one of the best, out of all.", "ɪɾ ɪz wʌn ʌv ðə bɛst aʊɾ əv ɔːl"),
        ("I am going on Monday, at 12:30.", "aɪ ɐm ɡoʊɪŋ ɔn mʌndeɪ æt twɛlvθɜːɾi"),
        ('He said "no" (twice)... and left', "hiː sɛd noʊ twaɪs ænd lɛft"),
        ("No, no, no. No!", "noʊ noʊ noʊ noʊ"),
    ],
)
def test_every_word_has_its_own_sounds(phonemize: Phonemize, text: str, spoken: str) -> None:
    assert found(phonemize, text) == spoken.split()


def test_words_belong_to_the_sentence_in_which_they_end(phonemize: Phonemize) -> None:
    text = "Hello there. How are you? Fine!"
    sentences = phonemize(text)
    ends = word_ends(sentences, text.split(), lambda word: phonemize(word)[0])
    assert [end.sentence for end in ends] == [0, 0, 1, 1, 1, 2]
    # Of the last word only the exclamation mark is left.
    assert ends[-1] == WordEnd(2, len(sentences[2]) - 1)


def test_a_word_without_a_sound_ends_with_the_one_before_it(phonemize: Phonemize) -> None:
    assert found(phonemize, "Well - yes") == ["wɛl", "", "jɛs"]
    assert found(phonemize, "- yes -") == ["", "jɛs", ""]


def test_nothing_said_nothing_found() -> None:
    assert word_ends([], [], list) == []
    assert word_ends([], ["-", "..."], lambda _: []) == [WordEnd(0, 0)] * 2


@given(st.lists(st.lists(st.sampled_from("ab .,"), max_size=8), max_size=4), st.lists(st.text("ab.", max_size=5)))
def test_there_is_an_end_for_every_word_in_order_whatever_is_said(sentences: list[list[str]], words: list[str]) -> None:
    ends = word_ends(sentences, words, list)
    assert len(ends) == len(words)
    places = [(end.sentence, end.phonemes) for end in ends]
    assert places == sorted(places)
    assert all(end == WordEnd(0, 0) or end.phonemes <= len(sentences[end.sentence]) for end in ends)


def test_a_phoneme_ends_with_the_pad_after_it() -> None:
    # The ids are ^ _ a _ b b _ blank _ $, the phoneme "x" has none.
    durations = np.array([10, 1, 20, 2, 30, 31, 3, 40, 4, 50])
    assert phoneme_ends(["a", "b", "x", " "], IDS, durations) == [11, 33, 97, 97, 141]


def test_a_sentence_that_was_built_in_another_way_has_no_known_times() -> None:
    assert phoneme_ends(["a"], IDS, np.array([10, 1, 20, 50])) == []
