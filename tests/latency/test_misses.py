"""Why something was late, as far as it can be seen, and how often."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from voicebot.audio import samples_from_ms
from voicebot.config.pipeline import BudgetSettings
from voicebot.latency.marks import over_budget, stage_durations_ms
from voicebot.latency.misses import Cause, Misses, Spent, causes

BUDGET = BudgetSettings()
IN_TIME = {
    "soft_end": 40,
    "asr_final": 150,
    "slm_first_clause": 350,
    "committed": 200,
    "tts_first_audio": 450,
    "audible": 460,
}


def why(spent: list[Spent] | None = None, **marks_ms: float) -> dict[str, str]:
    """Return the causes in a turn with those marks, in milliseconds after the last voiced sample."""
    marks: Mapping[str, int] = {name: samples_from_ms(ms) for name, ms in {**IN_TIME, **marks_ms}.items()}
    durations_ms = stage_durations_ms(marks, 0)
    late = over_budget(durations_ms, {**IN_TIME, **marks_ms}["audible"], BUDGET)
    return causes(late, durations_ms, marks, spent or [], BUDGET)


def asked(stage: str, seconds: float, *, careful_s: float = 0.15, cause: Cause | None = None) -> Spent:
    return Spent(stage, 1.0, 0.8 * careful_s, careful_s, seconds, cause)


def test_in_time_there_is_nothing_to_explain() -> None:
    assert why() == {}


def test_a_long_silence_was_asked_for_or_the_words_came_late() -> None:
    assert why(committed=600) == {"endpoint": "doubt"}
    assert why(asr_final=225, soft_end=30, committed=260) == {"endpoint": "words late"}


def test_the_shortest_silence_is_noticed_a_block_later() -> None:
    assert why(committed=240) == {"endpoint": "audio blocks"}


@pytest.mark.parametrize(
    ("spent", "cause"),
    [
        ([], "other"),
        ([asked("asr", 0.05)], "other"),
        ([asked("asr", 0.26)], "slow"),
        ([asked("asr", 0.26, careful_s=0.3)], "long"),
        ([asked("asr", 0.26, cause=Cause.QUEUE)], "queue"),
        ([asked("asr", 0.26, cause=Cause.SECOND_LOOK)], "second look"),
        ([asked("tts_first", 0.26)], "other"),
    ],
)
def test_recognition_was_late_by_what_its_requests_show(spent: list[Spent], cause: str) -> None:
    assert why(spent, soft_end=-120, asr_final=150) == {"asr": cause}


def test_of_several_requests_the_one_furthest_over_its_prediction_has_to_answer() -> None:
    read, decoded = asked("slm_read", 0.3, careful_s=0.29), asked("slm", 0.2, cause=Cause.QUEUE)
    late = why([read, decoded], slm_first_clause=500, tts_first_audio=600, audible=610)
    assert late == {"slm": "queue"}


def test_the_whole_was_late_by_the_endpoint_if_the_sound_waited_for_it() -> None:
    assert why(committed=800, audible=810)["total"] == "endpoint"


def test_else_by_the_stage_that_was_furthest_over_its_budget() -> None:
    late = why([asked("tts_first", 0.4)], tts_first_audio=750, audible=760)
    assert late == {"tts": "slow", "total": "tts"}


def test_a_reply_that_never_sounded_has_no_total() -> None:
    marks = {"soft_end": 0, "asr_final": samples_from_ms(300)}
    durations_ms = stage_durations_ms(marks, 0)
    late = over_budget(durations_ms, None, BUDGET)
    assert causes(late, durations_ms, marks, [], BUDGET) == {"asr": "other"}


def test_they_are_counted_by_stage_and_cause() -> None:
    misses = Misses()
    for late in ({}, {"asr": "queue", "total": "asr"}, {"asr": "queue"}, {"asr": "slow"}):
        misses.count(late)
    assert misses.turns == 4
    assert misses.counts == {("asr", "queue"): 2, ("asr", "slow"): 1, ("total", "asr"): 1}
