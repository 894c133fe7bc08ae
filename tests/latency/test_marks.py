"""The latency budget: marks in samples, durations in milliseconds, and what was over."""

from __future__ import annotations

import pytest

from voicebot.config.pipeline import BudgetSettings
from voicebot.latency.marks import MARKS, Marks, over_budget, stage_durations_ms

BUDGET = BudgetSettings(endpoint_ms=200, asr_ms=200, slm_ms=300, tts_ms=200, total_ms=700)


def test_only_the_first_time_is_noted() -> None:
    marks = Marks()
    marks.note("audible", 100)
    marks.note("audible", 200)
    assert marks.samples == {"audible": 100}


def test_what_was_read_does_not_change_afterwards() -> None:
    marks = Marks()
    before = marks.samples
    marks.note("committed", 5)
    assert before == {}


def test_each_stage_lasts_from_one_mark_to_the_next() -> None:
    marks = dict(zip(MARKS, (1600, 4800, 6400, 5600, 8000, 9600, 11200), strict=True))
    assert stage_durations_ms(marks, 0) == {"endpoint": 400.0, "asr": 200.0, "slm": 200.0, "tts": 100.0}


def test_the_endpoint_counts_from_the_end_of_speech() -> None:
    assert stage_durations_ms({"committed": 8000}, 4800) == {"endpoint": 200.0}


def test_a_stage_that_did_not_end_has_no_duration() -> None:
    assert stage_durations_ms({"soft_end": 0, "asr_final": 1600, "audible": 9999}, 0) == {"asr": 100.0}
    assert stage_durations_ms({}, 0) == {}


@pytest.mark.parametrize("stage", ["endpoint", "asr", "slm", "tts"])
def test_a_stage_is_late_beyond_its_own_limit(stage: str) -> None:
    limit_ms = getattr(BUDGET, f"{stage}_ms")
    assert over_budget({stage: limit_ms}, None, BUDGET) == ()
    assert over_budget({stage: limit_ms + 0.1}, None, BUDGET) == (stage,)


def test_the_whole_may_be_late_with_every_stage_in_time() -> None:
    in_time = {"endpoint": 200.0, "asr": 200.0, "slm": 300.0, "tts": 200.0}
    assert over_budget(in_time, 700.0, BUDGET) == ()
    assert over_budget(in_time, 700.1, BUDGET) == ("total",)
    assert over_budget({**in_time, "tts": 201.0, "asr": 999.0}, 900.0, BUDGET) == ("asr", "tts", "total")
