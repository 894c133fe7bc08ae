"""What happened, as Prometheus counts it.

Whatever a label may say is bounded: names of sessions, which anybody chooses, are none, and of values that come from
elsewhere only so many are told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from voicebot.audio import SAMPLE_RATE_HZ
from voicebot.events import (
    Event,
    FramesDropped,
    Interrupted,
    Resumed,
    StateChanged,
    TurnDiscarded,
    TurnEnded,
    TurnEnergy,
    WorkerChanged,
)
from voicebot.latency.marks import OPENER_MARK, voice_to_voice_ms

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
_BUCKETS_S: Final = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.5, 2.0, 3.0, 5.0)
"""The budgets of the stages and of the whole are among them: what was in time can be counted exactly."""
_MOST_VALUES: Final = 24
_REST: Final = "other"

Status = Callable[[], Mapping[str, Any]]


class Metrics:
    """An observer of events. `status` is what `Service.status` returns; it is asked at each `collect`."""

    def __init__(self, status: Status) -> None:
        self.registry = CollectorRegistry()
        self._status = status
        self._dropped: dict[str, int] = {}
        self._known: dict[str, set[str]] = {}
        self._now = _Now()
        self._stages = self._histogram("stage", "What a stage took of a turn.", ["stage"])
        self._voice_to_voice = self._histogram("voice_to_voice", "From the user's last sound to the reply's first.")
        self._opener = self._histogram("opener", "From the user's last sound to a phrase that covered the wait.")
        self._stop = self._histogram("stop", "From the first sound of an interruption until the reply was held.")
        self._turns = self._counter("turns", "Turns that have ended.", ["source", "outcome"])
        self._discarded = self._counter("turns_discarded", "Sounds without words.")
        self._resumed = self._counter("resumed", "Replies that went on after a sound that was no interruption.")
        self._misses = self._counter("budget_misses", "Stages that were later than their budget.", ["stage", "cause"])
        self._rungs = self._counter("ladder_rungs", "Turns with less than full quality.", ["ladder", "rung"])
        self._frames = self._counter("frames_dropped", "Frames of 20 ms that were lost at a microphone.")
        self._deaths = self._counter("worker_restarts", "Workers that died and were replaced.", ["stage"])
        self._joules = self._counter("turn_energy_joules", "What the box took during turns.", ["measured"])
        ProcessCollector(namespace="voicebot", registry=self.registry)
        self.registry.register(self._now)

    def __call__(self, event: Event) -> None:
        """Count an event."""
        match event:
            case TurnEnded():
                self._count_turn(event)
            case TurnEnergy():
                self._joules.labels(str(event.measured).lower()).inc(max(0.0, event.joules))
            case Interrupted():
                held = event.confirmed_sample if event.paused_sample is None else event.paused_sample
                self._stop.observe(max(0, held - event.speech_sample) / SAMPLE_RATE_HZ)
            case Resumed():
                self._resumed.inc()
            case TurnDiscarded():
                self._discarded.inc()
            case FramesDropped():
                self._frames.inc(max(0, event.total - self._dropped.get(event.session, 0)))
                self._dropped[event.session] = event.total
            case StateChanged(state="closed"):
                self._dropped.pop(event.session, None)
            case WorkerChanged(state="died"):
                self._deaths.labels(self._bounded("stage", event.stage)).inc()
            case _:
                pass

    def collect(self) -> Callable[[], bytes]:
        """Take in how things stand at this moment; what is returned writes all down, and may be called in a thread."""
        self._now.status = self._status()
        return lambda: generate_latest(self.registry)

    def _count_turn(self, turn: TurnEnded) -> None:
        outcome = "failed" if turn.error else "interrupted" if turn.interrupted else "finished"
        self._turns.labels(self._bounded("source", turn.source), outcome).inc()
        for stage, duration_ms in turn.stage_ms.items():
            self._stages.labels(self._bounded("stage", stage)).observe(duration_ms / 1000)
        waited_ms = voice_to_voice_ms(turn.marks, turn.speech_end_sample)
        if waited_ms is not None and not turn.error:
            self._voice_to_voice.observe(waited_ms / 1000)
        if OPENER_MARK in turn.marks:
            self._opener.observe((turn.marks[OPENER_MARK] - turn.speech_end_sample) / SAMPLE_RATE_HZ)
        for stage, cause in turn.missed.items():
            self._misses.labels(self._bounded("stage", stage), self._bounded("cause", cause)).inc()
        for ladder, rung in turn.ladder.items():
            self._rungs.labels(self._bounded("ladder", ladder), self._bounded("rung", rung)).inc()

    def _bounded(self, label: str, value: str) -> str:
        known = self._known.setdefault(label, set())
        if len(known) < _MOST_VALUES:
            known.add(value)
        return value if value in known else _REST

    def _histogram(self, name: str, text: str, labels: list[str] | None = None) -> Histogram:
        return Histogram(f"voicebot_{name}_seconds", text, labels or [], registry=self.registry, buckets=_BUCKETS_S)

    def _counter(self, name: str, text: str, labels: list[str] | None = None) -> Counter:
        return Counter(f"voicebot_{name}", text, labels or [], registry=self.registry)


class _Now(Collector):
    """Turns the status into gauges. Parts that are not there, or say something else, have none."""

    def __init__(self) -> None:
        self.status: Mapping[str, Any] = {}

    def collect(self) -> Iterator[Metric]:
        """Yield how things stand."""
        status, cpu = self.status, _table(self.status.get("cpu"))
        yield _gauge("sessions", "Conversations that are open.", {"": len(_table(status.get("sessions")))})
        yield _gauge("muted", "1 while every microphone is off.", {"": status.get("muted")})
        yield _gauge("volume_percent", "How loud everything is played.", {"": status.get("volume")})
        ready = {stage: _table(one).get("state") == "ready" for stage, one in _table(status.get("workers")).items()}
        yield _gauge("worker_ready", "1 where a stage's worker could answer.", ready, "stage")
        queued = {part: _table(told).get("queued") for part, told in status.items()}
        yield _gauge("queue_depth", "What waits to be told.", queued, "queue")
        yield _gauge("temperature_celsius", "Of a thermal zone.", _table(cpu.get("temperatures_c")), "zone")
        clusters = [_table(one) for one in cpu.get("clusters", ())]
        hertz = {one["name"]: 1000 * one["khz"] for one in clusters if one.get("name") and one.get("khz")}
        yield _gauge("frequency_hertz", "Of a cluster's cores.", hertz, "cluster")
        ladder = _table(cpu.get("ladder"))
        yield _gauge("ladder_pressure", "How much heat speaks for less work, 0 to 1.", {"": ladder.get("pressure")})
        yield _gauge("ladder_rung", "How far below full quality.", _table(ladder.get("rungs")), "ladder")
        joules = _table(cpu.get("energy")).get("joules")
        if isinstance(joules, int | float):
            yield CounterMetricFamily("voicebot_energy_joules", "What the box took since the start.", value=joules)


def _gauge(name: str, text: str, values: Mapping[str, Any], label: str = "") -> Metric:
    """Return a gauge of those values that are numbers."""
    family = GaugeMetricFamily(f"voicebot_{name}", text, labels=[label] if label else [])
    numbers = {key: value for key, value in values.items() if isinstance(value, int | float)}
    for key, value in list(numbers.items())[:_MOST_VALUES]:
        family.add_metric([key] if label else [], float(value))
    return family


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
