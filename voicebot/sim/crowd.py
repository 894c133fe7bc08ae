"""Many users of one box: how alike they are served, and what its memory allows. Pure.

A step of the language model reads all weights once, and the cells of every conversation in it: b = W + n C bytes for n
tokens. The memory gives B bytes per second, so no box decodes more than n B / b tokens per second, however fast its
cores are (the memory roof of Williams, Waterman and Patterson 2009, "Roofline").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from voicebot.latency.percentiles import percentile
from voicebot.sim.chip import Chip
from voicebot.sim.costs import Models
from voicebot.sim.run import Outcome
from voicebot.sim.script import PERIOD_S, REPLY_TOKENS


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What the memory allows."""

    asked_tokens_s: float
    """What the users want decoded on average."""
    alone_tokens_s: float
    """The most for one of them."""
    together_tokens_s: float
    """The most in all, with every user in each step."""


def ceiling(chip: Chip, models: Models, users: int, period_s: float = PERIOD_S) -> Ceiling:
    """Return the bounds for so many users who ask every `period_s` seconds."""

    def most(tokens: int) -> float:
        step_bytes = models.weight_bytes + tokens * models.context_tokens * models.cell_bytes
        return tokens * chip.bandwidth_bytes_s / step_bytes

    return Ceiling(users * REPLY_TOKENS / period_s, most(1), most(users))


@dataclass(frozen=True, slots=True)
class Crowd:
    """How the users of one run were served."""

    name: str
    mean_ms: float
    p95_ms: Mapping[str, float]
    """By session."""
    unfairness: float
    """The worst user's p95 over the best's."""
    throttle_events: int
    throttled_s: float
    hottest_c: float
    busy: float
    """The share of its cores' time that the box worked."""
    underruns: int

    @classmethod
    def of(cls, outcome: Outcome) -> Crowd:
        """Return that of an outcome."""
        shares = [share for sample in outcome.samples for share in sample.busy.values()]
        p95_ms = {name: percentile(times, 0.95) or math.nan for name, times in outcome.by_session.items()}
        return cls(
            outcome.regime,
            outcome.mean_ms,
            p95_ms,
            outcome.unfairness,
            outcome.throttle_events,
            outcome.throttled_s,
            outcome.hottest_c,
            sum(shares) / len(shares) if shares else math.nan,
            outcome.underruns,
        )
