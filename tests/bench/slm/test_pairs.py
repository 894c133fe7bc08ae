"""Pairs of replies become a row of figures."""

from __future__ import annotations

import pytest

from voicebot.bench.slm.pairs import Pair, pairs_row
from voicebot.bench.slm.subject import TimedReply

PLAIN = TimedReply(("The", " end", "."), (100.0, 110.0, 120.0))
TWICE = TimedReply(("The", " end", "."), (100.0, 110.0, 110.0))
SHORT = TimedReply(("Yes",), (100.0,))


def test_a_rate_runs_from_the_first_token_to_the_last() -> None:
    assert PLAIN.first_ms == 100.0
    assert PLAIN.tokens_per_s == pytest.approx(100.0)
    assert (SHORT.tokens_per_s, TimedReply((), ()).tokens_per_s) == (None, None)


def test_a_row_has_the_ratio_and_what_differs() -> None:
    row = pairs_row("some", [Pair(PLAIN, TWICE), Pair(PLAIN, TWICE), Pair(SHORT, PLAIN)])
    assert (row["pairs"], row["other texts"]) == (2, 1)
    assert row["ratio"] == pytest.approx(2.0)
    assert row["95 % low"] == pytest.approx(2.0)


def test_replies_too_short_for_a_rate_have_no_ratio() -> None:
    row = pairs_row("some", [Pair(SHORT, SHORT)])
    assert (row["pairs"], row["ratio"], row["95 % low"]) == (0, None, None)
