"""What is compared are the texts, with long drafts too; a few prompts of the real model."""

from __future__ import annotations

from voicebot.bench.slm.lossless import measure
from voicebot.bench.slm.prompts import QUOTING
from voicebot.bench.slm.subject import Subject


def test_texts_are_compared_and_no_difference_is_left_unexplained(subject: Subject) -> None:
    found = measure(subject, QUOTING[2:4])
    assert [row["drafts"] for row in found.tables["texts"]] == ["where they pay", "in every step"]
    for row in found.tables["texts"]:
        assert row["prompts"] == 2
        assert row["unexplained"] == 0
    (rounding,) = found.tables["rounding"]
    assert isinstance(rounding["logit"], float)
    assert rounding["logit"] >= 0
    assert all(limit.met for limit in found.limits)
