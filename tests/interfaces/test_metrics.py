"""Events become numbers, and no event can make them grow without bound."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from voicebot.audio import samples_from_ms
from voicebot.events import (
    FramesDropped,
    Interrupted,
    Resumed,
    StateChanged,
    TurnDiscarded,
    TurnEnded,
    TurnEnergy,
    WorkerChanged,
)
from voicebot.interfaces.metrics import Metrics

STATUS: dict[str, Any] = {
    "muted": False,
    "volume": 80,
    "sessions": {"Anna's phone": {"state": "idle"}},
    "workers": {"asr": {"state": "ready"}, "slm": {"state": "died"}},
    "mqtt": {"queued": 3},
    "cpu": {
        "clusters": [{"name": "policy0", "khz": 1_800_000}, {"name": "policy4", "khz": None}],
        "temperatures_c": {"soc": 61.5},
        "ladder": {"pressure": 0.25, "rungs": {"reply": 1}},
        "energy": {"joules": 1234.5},
    },
}


def turn(**changes: Any) -> TurnEnded:
    def at(ms: float) -> int:
        return samples_from_ms(1000 + ms)

    fields: dict[str, Any] = {
        "session": "Anna's phone",
        "turn": 1,
        "revisions": 1,
        "user": "what is it",
        "reply": "It is.",
        "heard": "It is.",
        "source": "slm",
        "interrupted": False,
        "speech_end_sample": at(0),
        "marks": {"soft_end": at(100), "committed": at(300), "audible": at(690), "opener": at(500)},
        "stage_ms": {"endpoint": 300.0, "asr": 150.0},
        "over_budget": ("endpoint",),
        "error": None,
        "missed": {"endpoint": "doubt"},
        "ladder": {"reply": "short"},
    }
    return TurnEnded(**(fields | changes))


def told(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return all samples by their name and the values of their labels, in the order of these, as a reader gets them."""
    text = metrics.collect()().decode()
    families = text_string_to_metric_families(text)
    return {
        (sample.name.removeprefix("voicebot_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_turn_is_counted_by_what_came_of_it() -> None:
    metrics = Metrics(lambda: STATUS)
    for one in (turn(), turn(interrupted=True), turn(error="it failed", interrupted=True), turn(source="say")):
        metrics(one)
    numbers = told(metrics)
    assert numbers["turns_total", "finished", "slm"] == 1
    assert numbers["turns_total", "interrupted", "slm"] == 1
    assert numbers["turns_total", "failed", "slm"] == 1
    assert numbers["turns_total", "finished", "say"] == 1
    assert numbers["budget_misses_total", "doubt", "endpoint"] == 4
    assert numbers["ladder_rungs_total", "reply", "short"] == 4


def test_durations_go_into_the_buckets_of_the_budget() -> None:
    metrics = Metrics(lambda: STATUS)
    metrics(turn())
    numbers = told(metrics)
    assert numbers["stage_seconds_bucket", "0.25", "endpoint"] == 0
    assert numbers["stage_seconds_bucket", "0.3", "endpoint"] == 1
    assert numbers["stage_seconds_sum", "asr"] == 0.15
    assert numbers["voice_to_voice_seconds_bucket", "0.6"] == 0
    assert numbers["voice_to_voice_seconds_bucket", "0.7"] == 1
    assert numbers["opener_seconds_sum",] == 0.5


def test_a_turn_that_failed_has_no_wait_for_its_apology() -> None:
    metrics = Metrics(lambda: STATUS)
    metrics(turn(error="it failed"))
    assert told(metrics)["voice_to_voice_seconds_count",] == 0


def test_all_else_that_happens_is_counted() -> None:
    metrics = Metrics(lambda: STATUS)
    metrics(Interrupted("a", 1, 16_000, 16_320, 22_400, 17_600))
    metrics(Interrupted("a", 2, 16_000, None, 22_400))
    metrics(Resumed("a", 1, 0))
    metrics(TurnDiscarded("a", 1, 0))
    metrics(TurnEnergy("a", 1, 2.5, measured=True))
    metrics(WorkerChanged("asr", "died", 12, "killed"))
    metrics(WorkerChanged("asr", "ready", 13, ""))
    numbers = told(metrics)
    assert numbers["stop_seconds_count",] == 2
    assert round(numbers["stop_seconds_sum",], 6) == 0.1 + 0.4
    assert numbers["resumed_total",] == numbers["turns_discarded_total",] == 1
    assert numbers["turn_energy_joules_total", "true"] == 2.5
    assert numbers["worker_restarts_total", "asr"] == 1


def test_frames_that_were_dropped_are_added_up_over_all_sessions() -> None:
    metrics = Metrics(lambda: STATUS)
    for event in (FramesDropped("a", 2), FramesDropped("b", 1), FramesDropped("a", 5), StateChanged("a", 0, "closed")):
        metrics(event)
    metrics(FramesDropped("a", 3))
    assert told(metrics)["frames_dropped_total",] == 2 + 1 + 3 + 3


def test_the_status_becomes_gauges() -> None:
    numbers = told(Metrics(lambda: STATUS))
    assert numbers["sessions",] == 1
    assert numbers["muted",] == 0
    assert numbers["volume_percent",] == 80
    assert (numbers["worker_ready", "asr"], numbers["worker_ready", "slm"]) == (1, 0)
    assert numbers["queue_depth", "mqtt"] == 3
    assert numbers["temperature_celsius", "soc"] == 61.5
    assert numbers["frequency_hertz", "policy0"] == 1.8e9
    assert ("frequency_hertz", "policy4") not in numbers
    assert (numbers["ladder_pressure",], numbers["ladder_rung", "reply"]) == (0.25, 1)
    assert numbers["energy_joules_total",] == 1234.5


def test_a_box_that_tells_nothing_has_no_gauges_of_it() -> None:
    numbers = told(Metrics(lambda: {"muted": True, "sessions": {}}))
    assert numbers["muted",] == 1
    assert not [name for name, *_ in numbers if name.startswith(("temperature", "frequency", "energy", "ladder"))]


def test_the_name_of_a_session_is_nowhere() -> None:
    metrics = Metrics(lambda: STATUS)
    for event in (turn(), FramesDropped("Anna's phone", 1), TurnEnergy("Anna's phone", 1, 1.0, measured=False)):
        metrics(event)
    assert b"Anna" not in metrics.collect()()


@settings(max_examples=10)
@given(st.lists(st.text(max_size=8), min_size=30, max_size=60, unique=True))
def test_whatever_comes_the_labels_are_bounded(values: list[str]) -> None:
    metrics = Metrics(lambda: STATUS)
    for value in values:
        metrics(turn(source=value, missed={value: value}, ladder={value: value}, stage_ms={value: 1.0}))
        metrics(WorkerChanged(value, "died", None, ""))
    numbers = told(metrics)
    assert len(numbers) < 4000
    assert numbers["worker_restarts_total", "other"] >= len(values) - 24
