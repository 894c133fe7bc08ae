"""Turns and workers in the log: with figures, and without words."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from voicebot.events import StateChanged, TurnEnded, WorkerChanged
from voicebot.interfaces.event_log import log_event

USER, REPLY = "what is the capital of france", "It is Paris."


def turn(**changes: Any) -> TurnEnded:
    fields: dict[str, Any] = {
        "session": "kitchen",
        "turn": 3,
        "revisions": 2,
        "user": USER,
        "reply": REPLY,
        "heard": REPLY,
        "source": "slm",
        "interrupted": False,
        "speech_end_sample": 16_000,
        "marks": {"soft_end": 17_600, "audible": 16_000 + 16 * 712},
        "stage_ms": {"endpoint": 300.2, "asr": 150.0},
        "over_budget": ("endpoint", "total"),
        "error": None,
        "missed": {"endpoint": "doubt", "total": "endpoint"},
        "ladder": {"reply": "short"},
    }
    return TurnEnded(**(fields | changes))


def logged(caplog: pytest.LogCaptureFixture, event: Any) -> logging.LogRecord:
    caplog.clear()
    with caplog.at_level(logging.INFO):
        log_event(event)
    (record,) = caplog.records
    return record


def test_a_turn_is_one_line_with_its_figures_as_fields(caplog: pytest.LogCaptureFixture) -> None:
    record = logged(caplog, turn())
    expected = "kitchen: turn 3 finished; voice to voice 712 ms; over budget: endpoint, total"
    assert (record.levelno, record.getMessage()) == (logging.INFO, expected)
    assert record.__dict__["fields"] == {
        "session": "kitchen",
        "turn": 3,
        "source": "slm",
        "outcome": "finished",
        "revisions": 2,
        "voice_to_voice_ms": 712,
        "endpoint_ms": 300,
        "asr_ms": 150,
        "over_budget": "endpoint total",
        "missed": "endpoint=doubt total=endpoint",
        "ladder": "reply=short",
        "error": None,
    }


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"over_budget": (), "interrupted": True}, "kitchen: turn 3 interrupted; voice to voice 712 ms"),
        ({"over_budget": (), "error": "the asr worker died.", "marks": {}}, "kitchen: turn 3 failed"),
    ],
)
def test_what_did_not_happen_is_not_mentioned(
    caplog: pytest.LogCaptureFixture, changes: dict[str, Any], line: str
) -> None:
    assert logged(caplog, turn(**changes)).getMessage() == line


def test_no_word_of_either_side_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    record = logged(caplog, turn())
    told = str(record.__dict__)
    assert not any(word in told for word in ("capital", "france", "Paris"))


def test_a_worker_that_dies_and_its_successor_are_logged_with_their_stage(caplog: pytest.LogCaptureFixture) -> None:
    died = logged(caplog, WorkerChanged("asr", "died", 12, "signal 9"))
    assert (died.levelno, died.getMessage()) == (logging.WARNING, "the asr worker died (signal 9); it is replaced")
    assert died.__dict__["fields"] == {"stage": "asr"}
    ready = logged(caplog, WorkerChanged("asr", "ready", 13, ""))
    assert (ready.levelno, ready.getMessage()) == (logging.INFO, "the asr worker is ready (process 13)")


def test_all_else_is_not(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        log_event(StateChanged("kitchen", 0, "listening"))
        log_event(WorkerChanged("asr", "loading", 12, ""))
        log_event(WorkerChanged("asr", "stopped", 12, "stopped"))
    assert caplog.records == []
