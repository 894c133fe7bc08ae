"""Whether the budget is kept is read off the turns' records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from voicebot.bench.budget import cost_of_ladder, kept, over_limit, with_ladder
from voicebot.config.load import load_settings


def turn(ms: float | None, took_ms: float = 90.0, **fields: Any) -> dict[str, Any]:
    known = {"file": "a.wav", "user": "Hello there.", "reply": "Good day to you.", "missed": {}, "ladder": {}}
    return {**known, "voice_to_voice_ms": ms, "requests_ms": [["asr", 100.0, took_ms]], **fields}


def test_what_is_late_and_what_was_predicted_is_counted() -> None:
    turns = [turn(400, 200.0), turn(900, missed={"total": "slow"}), turn(None), *[turn(500)] * 7]
    found = kept(turns, total_ms=700, learning=1)
    assert found["late_share"] == 0.2
    assert found["causes"] == {"total: slow": 1}
    assert found["predicted"] == {"asr": {"requests": 9, "below": 1.0}, "all": {"requests": 9, "below": 1.0}}
    assert kept(turns, total_ms=700, learning=0)["predicted"]["all"]["below"] == 0.9


@pytest.mark.parametrize(
    ("below", "late", "sentences"), [(0.9, 0.0, 0), (0.99, 0.0, 1), (0.8, 0.06, 2), (None, 0.0, 1)]
)
def test_beyond_a_limit_is_a_sentence(below: float | None, late: float, sentences: int) -> None:
    assert len(over_limit({"predicted": {"all": {"below": below}}, "late_share": late})) == sentences


def test_the_cost_of_the_ladder_is_words_and_length() -> None:
    eased = turn(400, user="Hello bear.", reply="Hi.", ladder={"first clause": "3 words"})
    found = cost_of_ladder([eased, turn(400)], [turn(400)])
    assert found["eased_share"] == 0.5
    assert found["rungs"] == {"first clause: 3 words": 1}
    assert found["reply_words"] == [2.5, 4.0]
    assert found["words_that_differ"] == 0.25


def test_a_run_begins_without_any_cost(tmp_path: Path) -> None:
    settings = load_settings("assistant", "voicebot")
    without = with_ladder(settings, tmp_path, enabled=False)
    assert settings.pipeline.ladder.enabled
    assert not without.pipeline.ladder.enabled
    assert without.box.paths.cache == str(tmp_path)
