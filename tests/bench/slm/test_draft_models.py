"""Acceptance along a known text, and the lengths that follow from it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from voicebot.bench.slm.decode import costs_of, flat_ms
from voicebot.bench.slm.draft_models import Accepted, acceptance, chosen_row, ngram_acceptance
from voicebot.engines.llama.drafts import Draft

READ = [1, 2, 3]
SAID = (10, 11, 12, 13, 14, 15, 16, 17, 18, 19)
LINEAR_MS = {size: 10.0 * size for size in (1, 2, 4, 8, 16, 32)}


def test_drafts_that_are_right_are_all_accepted() -> None:
    def knows(history: Sequence[int]) -> Draft:
        place = len(history) - len(READ)
        return Draft(SAID[place : place + 4], "model")

    assert acceptance([(READ, SAID)], knows) == (8, 8)  # of 10 the first is the prompt's own, one comes between drafts


def test_what_comes_after_a_wrong_token_is_not_counted() -> None:
    def half_right(history: Sequence[int]) -> Draft:
        return Draft((history[-1] + 1, 99, 99, 99), "model")

    proposed, right = acceptance([(READ, SAID)], half_right)
    assert (proposed, right) == (9, 5)


def test_who_proposes_nothing_has_no_acceptance() -> None:
    assert acceptance([(READ, SAID)], lambda _: None) == (0, 0)
    assert Accepted(0, 0).share == 0


def test_a_reply_is_found_in_the_conversation_or_in_the_phrase_book() -> None:
    quoted = [([*SAID, 1, 2], SAID)]
    assert ngram_acceptance(quoted, known=False).share == 1
    assert ngram_acceptance([(READ, SAID)], known=True).share == 1
    assert ngram_acceptance([(READ, SAID)], known=False) == Accepted(0, 0)


@pytest.mark.parametrize(
    ("accepted", "here", "simulated"),
    [
        (Accepted(100, 90, ms_per_token=9.0), 0, range(4, 17)),  # as dear as the target's own tokens
        (Accepted(100, 5, ms_per_token=1.0), 0, range(1)),  # nearly always wrong
        (Accepted(100, 99), 0, range(15, 16)),
    ],
)
def test_lengths_follow_cost_and_acceptance(accepted: Accepted, here: int, simulated: range) -> None:
    row = chosen_row("some", accepted, LINEAR_MS)
    assert row["length here"] == here
    assert row["length simulated"] in simulated


def test_on_the_simulated_box_a_further_token_is_nearly_free() -> None:
    costs = costs_of(flat_ms(20.0))
    assert costs.ms(1) == 20.0
    assert costs.ms(8) == pytest.approx(21.4)
