"""Why a stage was later than its budget, and how often each of them was. Pure.

A cause is what can be seen without guessing; of a stage's requests the one that was furthest over its prediction has
to answer for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from voicebot.audio import ms_from_samples
from voicebot.config.pipeline import BudgetSettings

_ITS_REQUESTS: Final = 0.5
"""The share of a stage's time that its requests have to explain."""
_BLOCKS_MS: Final = 52.0
"""A frame of the microphone's and a chunk of the voice detector's."""


class Cause(StrEnum):
    """What made a stage late. The first that holds, in this order, is it."""

    BLOCKS = "audio blocks"
    """Endpoint: it was over by no more than what audio comes in."""
    WORDS_LATE = "words late"
    """Endpoint: the words were not known before its budget was used up."""
    DOUBT = "doubt"
    """Endpoint: the evidence asked for a longer silence."""
    SECOND_LOOK = "second look"
    """Doubtful words were looked at again."""
    QUEUE = "queue"
    """Another request was under way when it was made."""
    CANCELLED = "cancelled work"
    """The one before had been cancelled so shortly before that it may not have stopped."""
    COLD = "cold"
    """Nothing had been asked of the stage for so long that its memory had been given to others."""
    LONG = "long"
    """It took no longer than predicted: there was too much work for its budget."""
    SLOW = "slow"
    """It took longer than nine of ten would have: the box was busy with something else."""
    OTHER = "other"
    """None of its requests was long; the time passed between them."""


@dataclass(frozen=True, slots=True)
class Spent:
    """One request to a stage: what was predicted for it, and what it took."""

    stage: str
    units: float
    expected_s: float
    careful_s: float
    seconds: float
    cause: Cause | None = None
    """Where something was seen at its beginning that would explain a delay."""

    @property
    def excess_s(self) -> float:
        """How much longer it took than expected."""
        return self.seconds - self.expected_s


def causes(
    late: Sequence[str],
    durations_ms: Mapping[str, float],
    marks: Mapping[str, int],
    spent: Sequence[Spent],
    budget: BudgetSettings,
) -> dict[str, str]:
    """Return for each stage that was late why; for "total" the stage that has to answer for it.

    `late`, `durations_ms`: by the names of `marks.over_budget`. `marks`: the turn's, samples of one timeline.
    """
    return {stage: _cause_of(stage, durations_ms, marks, spent, budget) for stage in late}


def _cause_of(
    stage: str,
    durations_ms: Mapping[str, float],
    marks: Mapping[str, int],
    spent: Sequence[Spent],
    budget: BudgetSettings,
) -> str:
    if stage == "total":
        return _stage_to_answer(durations_ms, marks, budget)
    if stage == "endpoint":
        over_ms = durations_ms["endpoint"] - budget.endpoint_ms
        if over_ms <= _BLOCKS_MS:
            return Cause.BLOCKS
        return Cause.WORDS_LATE if over_ms > _between_ms(marks, "asr_final", "committed") else Cause.DOUBT
    own = [one for one in spent if one.stage.split("_")[0] == stage]
    if not own or sum(one.seconds for one in own) < _ITS_REQUESTS * durations_ms[stage] / 1000:
        return Cause.OTHER
    worst = max(own, key=lambda one: one.excess_s)
    return worst.cause or (Cause.SLOW if worst.seconds > worst.careful_s else Cause.LONG)


def _stage_to_answer(durations_ms: Mapping[str, float], marks: Mapping[str, int], budget: BudgetSettings) -> str:
    """Return "endpoint" where the sound was there before the turn was known to be over, else who was latest."""
    if _between_ms(marks, "tts_first_audio", "committed") > 0:
        return "endpoint"
    allowed_ms = {"asr": budget.asr_ms, "slm": budget.slm_ms, "tts": budget.tts_ms}
    over_ms = {stage: durations_ms[stage] - ms for stage, ms in allowed_ms.items() if stage in durations_ms}
    return max(over_ms, key=lambda stage: over_ms[stage], default=Cause.OTHER)


def _between_ms(marks: Mapping[str, int], begin: str, end: str) -> float:
    """Return the time from one mark to the other; 0 where one is missing."""
    return ms_from_samples(marks[end] - marks[begin]) if begin in marks and end in marks else 0.0


class Misses:
    """How often each stage was late, by cause."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self.turns = 0
        """All that were counted, late or not."""

    def count(self, late: Mapping[str, str]) -> None:
        """Count one turn; `late` as `causes` returns it."""
        self.turns += 1
        self._counts.update(late.items())

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """The number of turns by stage and cause."""
        return dict(self._counts)
