"""What sets the frequencies, side by side: the same users on the same box under every governor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import pairwise
from typing import Final

from voicebot.cpu.box import Cluster
from voicebot.cpu.policy import PolicySettings
from voicebot.errors import UsageError
from voicebot.sim.chip import Chip
from voicebot.sim.governors import Fixed, Schedutil
from voicebot.sim.run import REGIMES, Outcome, Regime

VOICEBOT: Final = "voicebot"
_LINUX: Final = ("performance", "schedutil", "schedutil-seated", "schedutil-no-est", "ondemand", "powersave")
_FIXED: Final = "fixed:"

GAINS: Final[Mapping[str, str]] = {
    "pre-boost": "pre_boost",
    "core choice": "core_choice",
    "decode knee": "decode_knee",
    "paced synthesis": "paced_synthesis",
    "idle clamp": "clamp_idle",
}
"""What the policy does for its gain, and the setting that switches it off."""


def without(gains: Iterable[str]) -> Regime:
    """Return voicebot without some of its GAINS. Raises UsageError."""
    off = list(gains)
    if unknown := [gain for gain in off if gain not in GAINS]:
        raise UsageError(f"there is no gain {', '.join(unknown)}; there are {', '.join(GAINS)}.")
    name = f"{VOICEBOT} without {' and '.join(off)}" if off else VOICEBOT
    return Regime(name, Schedutil, PolicySettings(**{GAINS[gain]: False for gain in off}))


def regimes(chip: Chip, names: Iterable[str] = ()) -> list[Regime]:
    """Return those of these names, or voicebot, Linux's governors and every fixed frequency. Raises UsageError.

    `fixed:KHZ` is that frequency or the next above it in every cluster, `fixed` all that are between the lowest and
    the highest of the fastest one.
    """
    between = [f"{_FIXED}{point.khz}" for point in fastest(chip).points[1:-1]]
    found = []
    for name in names or (VOICEBOT, *_LINUX, "fixed"):
        found += [_regime(each) for each in (between if name == "fixed" else [name])]
    return list({each.name: each for each in found}.values())


def fastest(chip: Chip) -> Cluster:
    """Return the cluster with the most capable cores."""
    return max(chip.box.clusters, key=lambda cluster: cluster.capacity)


def _regime(name: str) -> Regime:
    khz = name.removeprefix(_FIXED)
    if name.startswith(_FIXED) and khz.isdecimal():
        return Regime(name, partial(Fixed, lambda _cluster: int(khz)))
    if name not in REGIMES:
        raise UsageError(f"there is no governor {name}; there are {', '.join((VOICEBOT, *_LINUX))} and fixed:KHZ.")
    return REGIMES[name]


@dataclass(frozen=True, slots=True)
class Row:
    """What one of them came to. Energy is that of processor and memory."""

    name: str
    turns: int
    p50_ms: float
    p95_ms: float
    mean_ms: float
    turn_j: float
    """Per turn, the time between turns included."""
    active_j: float
    """Per turn, beyond what the idle box takes."""
    idle_w: float
    mean_c: float
    hottest_c: float
    throttle_events: int
    throttled_s: float
    underruns: int
    gap_s: float
    """How long replies were silent because of these."""

    @classmethod
    def of(cls, outcome: Outcome) -> Row:
        """Return an outcome's row."""
        return cls(
            name=outcome.regime,
            turns=len(outcome.turns),
            p50_ms=outcome.quantile_ms(0.5),
            p95_ms=outcome.quantile_ms(0.95),
            mean_ms=outcome.mean_ms,
            turn_j=outcome.joules_per_turn,
            active_j=outcome.active_joules_per_turn,
            idle_w=outcome.idle_w,
            mean_c=outcome.mean_c,
            hottest_c=outcome.hottest_c,
            throttle_events=outcome.throttle_events,
            throttled_s=outcome.throttled_s,
            underruns=outcome.underruns,
            gap_s=sum(turn.gap_s for turn in outcome.turns),
        )


def front(rows: Iterable[Row]) -> list[Row]:
    """Return those that none of the others is better than in both p95 and energy per turn, the fastest first."""
    best: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.p95_ms, row.turn_j)):
        if not best or row.turn_j < best[-1].turn_j:
            best.append(row)
    return best


class Standing(StrEnum):
    """Where something is against the front of others."""

    BEYOND = "beyond"
    """Below the line that joins the front's points, or past one of its ends."""
    ON = "on"
    """Nobody is better in both, but it is above that line."""
    BEHIND = "behind"
    """Somebody takes neither longer nor more energy."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row against the others."""

    standing: Standing
    saving: float
    """How much less energy it takes than the front's line at the same p95; NaN where all others are slower."""
    p95: Mapping[str, float]
    """Relative to each of the others: -0.2 is a fifth less."""
    energy: Mapping[str, float]


def judge(row: Row, others: Sequence[Row]) -> Verdict:
    """Hold one row against the others. Raises ValueError without any."""
    best = front(others)
    line_j = _line_j(best, row.p95_ms)
    if row.turn_j < line_j:
        standing = Standing.BEYOND
    elif all(each.p95_ms > row.p95_ms or each.turn_j > row.turn_j or _same(each, row) for each in best):
        standing = Standing.ON
    else:
        standing = Standing.BEHIND
    return Verdict(
        standing,
        math.nan if math.isinf(line_j) else 1 - row.turn_j / line_j,
        {each.name: row.p95_ms / each.p95_ms - 1 for each in others},
        {each.name: row.turn_j / each.turn_j - 1 for each in others},
    )


def _same(one: Row, other: Row) -> bool:
    return (one.p95_ms, one.turn_j) == (other.p95_ms, other.turn_j)


def _line_j(best: Sequence[Row], p95_ms: float) -> float:
    """Return the energy at a p95 on the line through a front's points; infinity where it has none so fast."""
    if not best:
        raise ValueError("nothing to compare with")
    if p95_ms < best[0].p95_ms:
        return math.inf
    for fast, slow in pairwise(best):
        if p95_ms < slow.p95_ms:
            share = (p95_ms - fast.p95_ms) / (slow.p95_ms - fast.p95_ms)
            return fast.turn_j + share * (slow.turn_j - fast.turn_j)
    return best[-1].turn_j
