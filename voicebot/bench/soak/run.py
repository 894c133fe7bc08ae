"""The soak: sessions ask at random and cancel at random; then their answers are compared with those given alone."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Final

from voicebot.bench.soak.alone import Alone, Told, held, probability
from voicebot.bench.soak.crowd import Crowd
from voicebot.bench.soak.inside import Inside
from voicebot.bench.soak.talker import talkers
from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.engine import LlamaEngine
from voicebot.engines.protocols import Message
from voicebot.workers.flags import CancelFlags

_LONGEST_PHASE: Final = 50
"""The most requests after which all is let end, and looked at."""
_CONTEXT_TOKENS: Final = 384
"""So few that a conversation overflows it within a few turns."""
_PAGE_MB: Final = os.sysconf("SC_PAGE_SIZE") / 2**20


def soak(
    model: Path,
    settings: SlmSettings,
    threads: tuple[int, int],
    *,
    requests: int,
    sessions: int,
    seed: int,
    rows: int = 200,
) -> dict[str, Any]:
    """Return what was asked, what was answered otherwise than alone, what stayed behind, and the memory.

    `threads`: for decoding, for reading. `rows`: how many rows of logits show what rounding does.
    """
    settings = settings.model_copy(update={"temperature": 0.0, "context_tokens": _CONTEXT_TOKENS})
    phase = min(_LONGEST_PHASE, max(1, requests // 4))
    random = Random(seed)  # noqa: S311 - what is asked, and no secret
    system = Message("system", settings.system_prompt)
    flags = CancelFlags.create()
    began_s = time.monotonic()
    with closing(LlamaEngine(model, settings, *threads, alarm=flags.alarm)) as engine:
        crowd = Crowd(engine, talkers(sessions, system, random), flags, random)
        inside, leaks, rss_mb = Inside(engine), [], []
        for begin in range(0, requests, phase):
            inside.let_drafts_pay(pay=begin // phase % 2 == 1)
            crowd.run(min(phase, requests - begin))
            engine.rest()
            leaks += inside.leaks()
            rss_mb.append(_rss_mb())
        drafts = {"proposed": engine.speculation.proposed.total(), "accepted": engine.speculation.accepted.total()}
        cells = {"free": inside.free_cells(), "fillable": inside.room()}
    soaked_s = time.monotonic() - began_s
    with Alone(model, settings, *threads, flags.own) as alone:
        comparison = compare(alone, crowd.told, rows)
    flags.close()
    return {
        "requests": dict(crowd.asked),
        "steps": crowd.steps,
        "seconds": {"soak": round(soaked_s), "comparison": round(time.monotonic() - began_s - soaked_s)},
        "cancelled": dict(crowd.cancelled),
        "draft_tokens": drafts,
        "errors": crowd.errors,
        "leaks": leaks,
        "cells": cells,
        **comparison,
        "rss_mb": {"first": round(rss_mb[0], 1), "last": round(rss_mb[-1], 1)},
        "rss_mb_per_100_requests": round(slope(rss_mb[len(rss_mb) // 2 :]) * 100 / phase, 3),
    }


def compare(alone: Alone, told: Sequence[Told], rows: int) -> dict[str, Any]:
    """Return how many answers are those given alone, and of the others by how much the two tokens differ."""
    replies = sorted((each for each in told if each.reply), key=lambda each: -each.request.max_tokens)
    rounding = alone.rounding((alone.answer(each.request) for each in replies), rows)
    largest = max(rounding, default=0.0)
    gaps = [gap for each in replies if (gap := alone.gap(each)) is not None]
    reads = [each for each in told if each.request.op == "prefill"]
    ends = [abs(math.log(one / other)) for one, other in _probabilities(alone, told)]
    return {
        "answers": len(told),
        "replies": len(replies),
        "replies_that_differ": len(gaps),
        "gaps": sorted(round(gap, 3) for gap in gaps),
        "rounding": {
            "rows": len(rounding),
            "median": round(statistics.median(rounding or [0.0]), 3),
            "max": round(largest, 3),
        },
        "wrong_replies": sum(gap > largest for gap in gaps),
        "wrong_lengths": sum(held(each) != held(alone.answer(each.request)) for each in reads),
        "end_probability_log_ratio": round(max(ends, default=0.0), 3),
    }


def _probabilities(alone: Alone, told: Iterable[Told]) -> Iterable[tuple[float, float]]:
    for each in told:
        if (found := probability(each)) is not None:
            yield found, probability(alone.answer(each.request)) or math.nan


def slope(values: Sequence[float]) -> float:
    """Return by how much values of equal distance grow from one to the next, by least squares."""
    if len(values) < 2:
        return 0.0
    return statistics.linear_regression(range(len(values)), values).slope


def _rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE_MB


def failures(result: dict[str, Any], limit_mb: float) -> list[str]:
    """Return in sentences what is wrong with the figures; empty when nothing is."""
    growth = result["rss_mb_per_100_requests"]
    cells = result["cells"]
    checks = (
        (bool(result["errors"]), f"{len(result['errors'])} requests failed, the first: {result['errors'][:1]}."),
        (bool(result["leaks"]), f"{len(result['leaks'])} things stayed behind, the first: {result['leaks'][:1]}."),
        (cells["free"] != cells["fillable"], f"{cells['free']} cells should be free, {cells['fillable']} are."),
        (result["wrong_replies"] > 0, f"{result['wrong_replies']} replies are not those given alone."),
        (result["wrong_lengths"] > 0, f"{result['wrong_lengths']} prefills have another length than alone."),
        (growth > limit_mb, f"memory grows by {growth} MB in 100 requests."),
    )
    return [sentence for failed, sentence in checks if failed]
