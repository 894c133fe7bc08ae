"""Whether the latency budget is kept: predictions that hold, few turns that are late, and what the ladder costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from voicebot.bench.wer import normalise, word_errors
from voicebot.config.load import Settings
from voicebot.latency.percentiles import summary

PREDICTED_LEAST: Final = 0.85
PREDICTED_MOST: Final = 0.95
"""What share of a stage's times is to lie below the predicted 90th percentile."""
_LATE_MOST: Final = 0.05
Turn = dict[str, Any]


def with_ladder(settings: Settings, cache: Path, *, enabled: bool) -> Settings:
    """Return the settings with the ladder on or off, and a cache in which no cost is known yet."""
    pipeline = settings.pipeline
    ladder = pipeline.ladder.model_copy(update={"enabled": enabled})
    paths = settings.box.paths.model_copy(update={"cache": str(cache)})
    return replace(
        settings.with_pipeline(pipeline.model_copy(update={"ladder": ladder})),
        box=settings.box.model_copy(update={"paths": paths}),
    )


def kept(turns: Sequence[Turn], total_ms: float, learning: int) -> dict[str, Any]:
    """Return how well the times were predicted after the first `learning` turns, and which turns were late.

    A turn without an answer is late as well.
    """
    later = [request for turn in turns[learning:] for request in turn["requests_ms"]]
    stages = sorted({stage for stage, _, _ in later})
    late = [turn for turn in turns if (turn["voice_to_voice_ms"] or total_ms + 1) > total_ms]
    return {
        "turns": len(turns),
        "voice_to_voice_ms": summary([ms for turn in turns if (ms := turn["voice_to_voice_ms"]) is not None]),
        "late_share": round(len(late) / max(1, len(turns)), 3),
        "causes": dict(Counter(f"{stage}: {cause}" for turn in turns for stage, cause in turn["missed"].items())),
        "predicted": {stage: _below([each for each in later if each[0] == stage]) for stage in stages}
        | {"all": _below(later)},
    }


def cost_of_ladder(with_it: Sequence[Turn], without: Sequence[Turn]) -> dict[str, Any]:
    """Return how replies and words differ between turns on the same clips."""
    words = {turn["file"]: normalise(turn["user"]) for turn in without}
    compared = [(words[turn["file"]], normalise(turn["user"])) for turn in with_it if turn["file"] in words]
    errors = sum(word_errors(reference, found) for reference, found in compared)
    return {
        "eased_share": round(sum(bool(turn["ladder"]) for turn in with_it) / max(1, len(with_it)), 3),
        "rungs": dict(Counter(f"{ladder}: {rung}" for turn in with_it for ladder, rung in turn["ladder"].items())),
        "reply_words": [_mean_words(with_it), _mean_words(without)],
        "words_that_differ": round(errors / max(1, sum(len(reference) for reference, _ in compared)), 4),
    }


def over_limit(figures: dict[str, Any]) -> list[str]:
    """Return a sentence for everything that is beyond its limit."""
    wrong = []
    share = figures["predicted"]["all"]["below"]
    if share is None or not PREDICTED_LEAST <= share <= PREDICTED_MOST:
        wrong.append(f"{share} of the stages' times were below the predicted 90th percentile")
    if figures["late_share"] >= _LATE_MOST:
        wrong.append(f"{100 * figures['late_share']:.1f} % of the turns were late")
    return wrong


def _below(requests: Sequence[Sequence[Any]]) -> dict[str, Any]:
    below = sum(took <= careful for _, careful, took in requests)
    return {"requests": len(requests), "below": round(below / len(requests), 3) if requests else None}


def _mean_words(turns: Sequence[Turn]) -> float:
    return round(sum(len(turn["reply"].split()) for turn in turns) / max(1, len(turns)), 2)
