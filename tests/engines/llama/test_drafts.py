"""Drafts from the conversation and from the phrase book."""

from __future__ import annotations

import numpy as np
import pytest

from voicebot.engines.llama.drafts import Draft, Drafter, NgramDrafter
from voicebot.engines.llama.ngram import NgramIndex


@pytest.fixture
def phrases() -> NgramIndex:
    index = NgramIndex()
    index.add_sequence((1, 2, 3, 50, 51, 52))
    return index


@pytest.fixture
def drafter(phrases: NgramIndex) -> Drafter:
    return NgramDrafter(phrases)


def test_what_the_conversation_said_before_is_drafted(drafter: Drafter) -> None:
    assert drafter.propose([7, 8, 9, 10, 11, 7, 8], 3) == Draft((9, 10, 11), "ngram", match_length=2)


def test_what_the_assistant_often_says_is_drafted(drafter: Drafter) -> None:
    assert drafter.propose([7, 8, 2, 3], 2) == Draft((50, 51), "phrases", match_length=2)


def test_the_longer_match_decides(drafter: Drafter) -> None:
    """And the conversation's own where they are equal."""
    assert drafter.propose([2, 3, 60, 1, 2, 3], 1) == Draft((50,), "phrases", match_length=3)
    assert drafter.propose([2, 3, 60, 4, 2, 3], 1) == Draft((60,), "ngram", match_length=2)


def test_what_was_never_said_has_no_draft(drafter: Drafter) -> None:
    assert drafter.propose([7, 8, 9], 3) is None
    assert drafter.propose([], 3) is None


def test_phrases_learnt_meanwhile_are_known(drafter: Drafter, phrases: NgramIndex) -> None:
    assert drafter.propose([30, 31], 1) is None
    phrases.add_sequence((30, 31, 32))
    assert drafter.propose([30, 31, 40, 30, 31], 1) == Draft((40,), "ngram", match_length=2)
    assert drafter.propose([5, 30, 31], 1) == Draft((32,), "phrases", match_length=2)


@pytest.mark.parametrize("kind", [list, tuple])
def test_it_follows_a_history_that_grows_shrinks_and_changes(phrases: NgramIndex, kind: type) -> None:
    """After every change it drafts what one that has seen this history alone drafts."""
    random = np.random.default_rng(1)
    drafter = NgramDrafter(phrases)
    history: list[int] = []
    found = 0
    for _ in range(400):
        if random.random() < 0.2:
            del history[int(random.integers(0, len(history) + 1)) :]
        history += random.integers(0, 6, int(random.integers(1, 20))).tolist()
        fresh = NgramDrafter(phrases).propose(kind(history), 4)
        assert drafter.propose(kind(history), 4) == fresh
        found += fresh is not None
    assert found > 150


def test_a_history_that_grows_is_not_read_again(drafter: NgramDrafter, monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[int] = []
    extend = NgramIndex.extend

    def counted(index: NgramIndex, tokens: list[int]) -> None:
        added.append(len(tokens))
        extend(index, tokens)

    monkeypatch.setattr(NgramIndex, "extend", counted)
    history = list(range(1000))
    for token in range(5):
        drafter.propose(history, 4)
        history.append(token)
    assert added == [1000, 1, 1, 1, 1]


def test_the_beginning_of_a_draft_keeps_its_probabilities() -> None:
    draft = Draft((1, 2, 3), "model", np.eye(4)[[1, 2, 3]])
    cut = draft.first(2)
    assert (cut.tokens, len(cut), cut.source) == ((1, 2), 2, "model")
    assert cut.probabilities is not None
    assert np.array_equal(cut.probabilities, np.eye(4)[[1, 2]])
    assert Draft((1, 2, 3), "ngram", match_length=5).first(0) == Draft((), "ngram", match_length=5)


def test_a_draft_can_be_cut_after_the_first_of_some_tokens() -> None:
    draft = Draft((5, 6, 7, 6), "ngram")
    assert draft.through({6}).tokens == (5, 6)
    assert draft.through({8}) == draft
