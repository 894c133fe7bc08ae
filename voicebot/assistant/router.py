"""Which of several language models answers a request. Pure: what is measured is passed in, nothing is kept.

The first model, of [slm], is the small one: it is always there, has taken in the conversation already, and answers
whatever the others can't answer in time. The further tiers stand in the order of their strength.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from voicebot.assistant.complexity import complexity
from voicebot.config.tiers import FIRST_TIER, RouterSettings, TierSettings


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """What is asked, and how much time is left until the first token of the answer has to be there."""

    text: str
    deadline_ms: float


@dataclass(frozen=True, slots=True)
class Conditions:
    """How things are at the moment; by the tier's name, where it has one."""

    in_flight: Mapping[str, int] = field(default_factory=dict)
    """Requests under way."""
    first_token_ms: Mapping[str, float] = field(default_factory=dict)
    """How long the first token has usually taken; nothing of a tier that has not been asked."""
    resting: frozenset[str] = frozenset()
    """Tiers that have failed a moment ago."""
    temperature_c: float | None = None
    """The hottest part of the box; None when that is unknown."""


def choose(request: RouteRequest, tiers: Sequence[TierSettings], conditions: Conditions, rules: RouterSettings) -> str:
    """Return the name of the tier to ask.

    A simple request goes to the small one, unless that has its hands full and another machine can help; a complex one
    to the first of the further tiers that can take it, a hard one to the last.
    """
    left_ms = time_for_others_ms(request.deadline_ms, conditions)
    able = [tier for tier in tiers if can_take(tier, left_ms, conditions, rules)]
    points = complexity(request.text, rules).points
    if points < rules.complex_points:
        crowded = conditions.in_flight.get(FIRST_TIER, 0) >= rules.small_requests
        able = [tier for tier in able if tier.remote] if crowded else []
    if not able:
        return FIRST_TIER
    return (able[-1] if points >= rules.hard_points else able[0]).name


def should_raise(
    mean_logprob: float | None,
    left_ms: float,
    tiers: Sequence[TierSettings],
    conditions: Conditions,
    rules: RouterSettings,
) -> str | None:
    """Return the tier that an answer of the small one is to be raised to, or None.

    `mean_logprob`: of its first tokens, natural; None when the model doesn't tell. `left_ms`: until the
    first token has to be there; the small one's is.
    """
    if mean_logprob is None or mean_logprob >= rules.unsure_logprob:
        return None
    able = (tier.name for tier in tiers if can_take(tier, left_ms, conditions, rules))
    return next(able, None)


def can_take(tier: TierSettings, left_ms: float, conditions: Conditions, rules: RouterSettings) -> bool:
    """Return whether a tier is well, has room, is not kept from working by heat, and is likely to be in time.

    Heat keeps only this box's own models from working.
    """
    hot = conditions.temperature_c is not None and conditions.temperature_c > rules.hot_celsius
    return (
        tier.name not in conditions.resting
        and conditions.in_flight.get(tier.name, 0) < tier.most_requests
        and (tier.remote or not hot)
        and conditions.first_token_ms.get(tier.name, 0.0) < patience_ms(tier, left_ms)
    )


def time_for_others_ms(deadline_ms: float, conditions: Conditions) -> float:
    """Return how long the others may take before the small one is asked, so that it is in time as well.

    At most half of the time is kept for it: when it is slow because too much is asked of it, others help.
    """
    return deadline_ms - min(conditions.first_token_ms.get(FIRST_TIER, 0.0), deadline_ms / 2)


def patience_ms(tier: TierSettings, left_ms: float) -> float:
    """Return how long to wait for a tier's first token when so much time is left."""
    return max(0.0, min(tier.first_token_ms, left_ms))


def mean_logprob(logprobs: Sequence[float | None]) -> float | None:
    """Return the mean of those that are known; None when none is."""
    known = [one for one in logprobs if one is not None]
    return math.fsum(known) / len(known) if known else None
