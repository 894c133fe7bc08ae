"""When things happened in one turn, in samples of the session's timeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from voicebot.audio import ms_from_samples
from voicebot.config.pipeline import BudgetSettings

MARKS: Final = (
    "soft_end",
    "asr_final",
    "committed",
    "slm_first_token",
    "slm_first_clause",
    "tts_first_audio",
    "audible",
)
OPENER_MARK: Final = "opener"
"""The first audible sample of a phrase that covered the wait for the reply; it is none of the reply's own marks."""
_SPANS: Final = {
    "endpoint": ("speech_end", "committed"),
    "asr": ("soft_end", "asr_final"),
    "slm": ("asr_final", "slm_first_clause"),
    "tts": ("slm_first_clause", "tts_first_audio"),
}


class Marks:
    """The first time each thing happened. A later one of the same name is not noted."""

    def __init__(self) -> None:
        self._samples: dict[str, int] = {}

    def note(self, name: str, sample: int) -> None:
        """Note that something happened at a sample, unless it had happened before."""
        self._samples.setdefault(name, sample)

    @property
    def samples(self) -> Mapping[str, int]:
        """What happened so far."""
        return dict(self._samples)


def stage_spans(marks: Mapping[str, int], speech_end_sample: int) -> dict[str, tuple[int, int]]:
    """Return from which sample to which each stage took that ran."""
    known = {**marks, "speech_end": speech_end_sample}
    return {
        stage: (known[begin], known[end]) for stage, (begin, end) in _SPANS.items() if begin in known and end in known
    }


def stage_durations_ms(marks: Mapping[str, int], speech_end_sample: int) -> dict[str, float]:
    """Return how long each stage took that ran, in milliseconds."""
    spans = stage_spans(marks, speech_end_sample)
    return {stage: ms_from_samples(end - begin) for stage, (begin, end) in spans.items()}


def voice_to_voice_ms(marks: Mapping[str, int], speech_end_sample: int) -> float | None:
    """Return how long the user waited for the first audible sample of the reply; None when there was none."""
    audible = marks.get("audible")
    return None if audible is None else ms_from_samples(audible - speech_end_sample)


def over_budget(durations_ms: Mapping[str, float], total_ms: float | None, budget: BudgetSettings) -> tuple[str, ...]:
    """Return the stages that took longer than the budget allows; "total" for the whole."""
    limits = {"endpoint": budget.endpoint_ms, "asr": budget.asr_ms, "slm": budget.slm_ms, "tts": budget.tts_ms}
    late = [stage for stage, limit_ms in limits.items() if durations_ms.get(stage, 0) > limit_ms]
    if total_ms is not None and total_ms > budget.total_ms:
        late.append("total")
    return tuple(late)
