"""A turn as a trace: a span for the whole, and one for each stage inside of it. Knows nothing of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from voicebot.audio import SAMPLE_RATE_HZ
from voicebot.events import TurnEnded, TurnEnergy
from voicebot.latency.marks import stage_spans, voice_to_voice_ms

Value = str | bool | int | float | tuple[str, ...] | tuple[float, ...]
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """What took a while. Times are nanoseconds since 1970."""

    name: str
    begin_ns: int
    end_ns: int
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class TurnTrace:
    """The whole turn, what is inside of it, and when each mark was."""

    whole: Span
    stages: tuple[Span, ...]
    marks_ns: Mapping[str, int]
    error: str | None


@dataclass(frozen=True, slots=True)
class Moment:
    """One sample of a session's timeline, and its time in nanoseconds since 1970."""

    sample: int
    time_ns: int

    def ns(self, sample: int) -> int:
        """Return the time of another sample."""
        return self.time_ns + (sample - self.sample) * _NS_PER_S // SAMPLE_RATE_HZ


def trace(turn: TurnEnded, ended: Moment, energy: TurnEnergy | None, *, texts: bool) -> TurnTrace:
    """Return the trace of a turn that ended at that moment.

    It begins where the user's speech ends, as the wait does. With `texts` it has what was said by both sides.
    """
    samples = stage_spans(turn.marks, turn.speech_end_sample)
    if "audible" in turn.marks:
        samples["playback"] = (turn.marks["audible"], ended.sample)
    stages = tuple(
        Span(stage, ended.ns(begin), ended.ns(max(begin, end)), dict(_of_stage(turn, stage)))
        for stage, (begin, end) in samples.items()
    )
    moments = [turn.speech_end_sample, *turn.marks.values()]
    whole = Span("turn", ended.ns(min(moments)), ended.ns(max(*moments, ended.sample)), dict(_of_turn(turn, energy)))
    if texts:
        words = {"voicebot.user": turn.user, "voicebot.reply": turn.reply, "voicebot.heard": turn.heard}
        whole = Span(whole.name, whole.begin_ns, whole.end_ns, {**whole.attributes, **words})
    marks_ns = {name: ended.ns(sample) for name, sample in turn.marks.items()}
    return TurnTrace(whole, stages, marks_ns, turn.error)


def _of_stage(turn: TurnEnded, stage: str) -> Iterator[tuple[str, Value]]:
    yield "voicebot.over_budget", stage in turn.over_budget
    if stage in turn.missed:
        yield "voicebot.missed", turn.missed[stage]


def _of_turn(turn: TurnEnded, energy: TurnEnergy | None) -> Iterator[tuple[str, Value]]:
    yield "voicebot.session", turn.session
    yield "voicebot.turn", turn.turn
    yield "voicebot.source", turn.source
    yield "voicebot.revisions", turn.revisions
    yield "voicebot.interrupted", turn.interrupted
    yield "voicebot.over_budget", turn.over_budget
    waited_ms = voice_to_voice_ms(turn.marks, turn.speech_end_sample)
    if waited_ms is not None:
        yield "voicebot.voice_to_voice_ms", waited_ms
    for stage, cause in turn.missed.items():
        yield f"voicebot.missed.{stage}", cause
    for ladder, rung in turn.ladder.items():
        yield f"voicebot.ladder.{ladder}", rung
    for stage in sorted({stage for stage, _, _ in turn.requests_ms}):
        own = [(careful_ms, took_ms) for asked, careful_ms, took_ms in turn.requests_ms if asked == stage]
        yield f"voicebot.requests.{stage}.p90_ms", tuple(careful_ms for careful_ms, _ in own)
        yield f"voicebot.requests.{stage}.took_ms", tuple(took_ms for _, took_ms in own)
    if energy is not None:
        yield "voicebot.energy_j", energy.joules
        yield "voicebot.energy_measured", energy.measured
