"""Requests are cancelled while the real model reads or replies, and the next one is answered as ever."""

from __future__ import annotations

import pytest

from voicebot.bench.slm import stop
from voicebot.bench.slm.subject import Subject


def test_cancels_are_timed_and_the_next_reply_is_the_same(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "_CANCELS", 2)
    found = stop.measure(subject)
    rows = found.tables["stop"]
    assert [row["cancelled while"] for row in rows] == ["reading", "replying"]
    for row in rows:
        assert row["next reply differs"] == 0
        assert row["cancels"] in {0, 1, 2}  # a busy machine may be done before the cancel comes
    assert [limit.at_most for limit in found.limits] == [30, 0, 30, 0]
