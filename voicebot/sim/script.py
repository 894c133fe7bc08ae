"""What people do: when they ask, how they pause, how long replies are. Drawn once per seed, whatever the box does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

PERIOD_S: Final = 20.0
"""From one request to the next, on average."""
REPLY_TOKENS: Final = 40
FIRST_CLAUSE_TOKENS: Final = 8
_SPEECH_S: Final = (3.0, 0.6)
_PAUSES: Final = (0.6, 0.3, 0.1)
"""How probable none, one and two pauses inside a request are."""
_PAUSE_S: Final = (0.12, 0.55)
_SOFT_END_S: Final = (0.032, 0.096)
_ENDPOINT_S: Final = (0.200, 0.640)
_ENDPOINT_MEAN_S: Final = 0.120
"""Above the least: docs/benchmarks.md has a median of 270 ms and some at 670."""
DOUBTFUL: Final = 25 / 151
"""How many recordings are recognised again on a wider window, which takes as long as the first time."""


@dataclass(frozen=True, slots=True)
class TurnScript:
    """One request. Times of speech are relative to its beginning."""

    number: int
    begin_s: float
    """When the user wants to ask; he hears out what is still spoken."""
    speech: tuple[tuple[float, float], ...]
    soft_end_s: float
    """How much silence looks like an end."""
    endpoint_s: float
    """How much silence is one."""
    clause_tokens: tuple[int, ...]
    seed: str
    """For the noise of its work."""
    doubtful: bool = False
    """Whether the recogniser looks at its words twice."""


def scripts(seed: int, user: int, seconds: float, period_s: float = PERIOD_S) -> Iterator[TurnScript]:
    """Yield a user's requests: a Poisson process that lasts for some time."""
    arrivals = Random(f"{seed}/{user}/arrivals")  # noqa: S311
    begin_s = arrivals.expovariate(1 / period_s)
    number = 0
    while begin_s < seconds:
        number += 1
        yield _script(f"{seed}/{user}/{number}", number, begin_s)
        begin_s += arrivals.expovariate(1 / period_s)


def _script(seed: str, number: int, begin_s: float) -> TurnScript:
    draw = Random(seed)  # noqa: S311
    speech_s = min(max(draw.gauss(*_SPEECH_S), 1.0), 6.0)
    pauses = draw.choices(range(len(_PAUSES)), _PAUSES)[0]
    cuts = sorted(draw.uniform(0.15, 0.85) * speech_s for _ in range(pauses))
    speech = []
    shift_s = 0.0
    for begin, end in zip([0.0, *cuts], [*cuts, speech_s], strict=True):
        speech.append((begin + shift_s, end + shift_s))
        shift_s += draw.uniform(*_PAUSE_S)
    least_s, most_s = _ENDPOINT_S
    endpoint_s = min(least_s + draw.expovariate(1 / _ENDPOINT_MEAN_S), most_s)
    soft_end_s = draw.uniform(*_SOFT_END_S)
    clauses, doubtful = _clauses(draw), draw.random() < DOUBTFUL
    return TurnScript(number, begin_s, tuple(speech), soft_end_s, endpoint_s, clauses, f"{seed}/noise", doubtful)


def _clauses(draw: Random) -> tuple[int, ...]:
    clauses = [FIRST_CLAUSE_TOKENS]
    left = REPLY_TOKENS - FIRST_CLAUSE_TOKENS
    while left > 16:
        clauses.append(draw.randint(8, 14))
        left -= clauses[-1]
    return (*clauses, left)
