"""How long a draft should be, 0 included: what a longer batch costs here, against what of it will be accepted.

A batch of k tokens takes v(k) ms. Where memory is the bottleneck v is nearly flat, and long drafts pay though most
are wrong; where arithmetic is, v is nearly linear, and only all but certain ones do. Both curves and acceptance are
learnt while decoding. Pure: no clock, no chance.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from itertools import accumulate
from statistics import median
from typing import Final

_REMEMBERED: Final = 9
"""The median of so many steps ignores four that another process has slowed down, and follows a change within five."""
_PRIOR: Final = {0: 0.5, 2: 0.4, 3: 0.6, 4: 0.7, 6: 0.9, 10: 0.95}
"""By the length of the match from which on it holds (0: a model's draft), the acceptance assumed before any is seen.

SmolLM2-135M accepts 97 % where it reads a list back, and 30 % of what matches 2 or 3 tokens in open chat. A session
reads back long before enough of it has been seen, so a long match is trusted at first.
"""
_PRIOR_TOKENS: Final = 5.0
"""What is assumed counts as so many tokens seen: five refusals in a row stop drafts from long matches too."""
_KEPT: Final = 0.9
"""What is left of an observation when the next one comes: about the last ten count. With 0.95 a change is found out too
late, with 0.8 chance alone brings drafts about that lose 4 %."""
_MARGIN: Final = 0.15
"""A draft is tried when it is expected to gain this part of its session's token; less may be an error of estimates."""
_LENGTHS: Final = (1, 2, 3, 5, 7, 11, 15)
"""Lengths that are chosen from, beside the longest there is: batches of 2, 4, 8 and 16."""
_TRIALS: Final = (1, 3, 7)
"""Lengths that are tried in turn: batches of 2, 4 and 8, between which the curve is drawn."""


class StepCosts:
    """v(k): milliseconds that a decode of k tokens takes, as seen lately.

    Longer batches are remembered relative to single tokens: those are seen all the time, so that what slows the whole
    box slows the estimate of what has not been tried since.
    """

    def __init__(self) -> None:
        self._single: deque[float] = deque(maxlen=_REMEMBERED)
        self._relative: defaultdict[int, deque[float]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._sizes: list[int] = []
        self._ms: list[float] = []

    def observe(self, tokens: int, ms: float) -> None:
        """Learn from a decode of so many tokens."""
        if tokens > 1:
            self._relative[tokens].append(ms / (median(self._single) if self._single else 1.0))
        else:
            if not self._single:  # what was seen before was relative to nothing
                for size, seen in self._relative.items():
                    self._relative[size] = deque((each / ms for each in seen), maxlen=_REMEMBERED)
            self._single.append(ms)
        single = median(self._single) if self._single else 1.0
        known = {size: median(seen) * single for size, seen in self._relative.items()}
        if self._single:
            known[1] = single
        self._sizes = sorted(known)
        measured = [known[size] for size in self._sizes]
        # A bigger batch is never quicker: where noise says so, take the middle of the two curves that never fall.
        upper = accumulate(measured, max)
        lower = reversed(list(accumulate(reversed(measured), min)))
        self._ms = [(high + low) / 2 for high, low in zip(upper, lower, strict=True)]

    def ms(self, tokens: int) -> float:
        """Return what a decode of so many tokens will take; never less than one of fewer.

        Between sizes seen it is a straight line; above them the line from the smallest to the largest goes on; with one
        size seen, or below the smallest, it is in proportion. Before any observation each token counts 1 ms.
        """
        sizes, ms = self._sizes, self._ms
        if not sizes:
            return float(tokens)
        if tokens <= sizes[0]:
            return ms[0] * tokens / sizes[0]
        if tokens > sizes[-1]:
            slope = (ms[-1] - ms[0]) / (sizes[-1] - sizes[0]) if len(sizes) > 1 else ms[0] / sizes[0]
            return ms[-1] + slope * (tokens - sizes[-1])
        above = bisect_left(sizes, tokens)
        part = (tokens - sizes[above - 1]) / (sizes[above] - sizes[above - 1])
        return ms[above - 1] + part * (ms[above] - ms[above - 1])


class Acceptance:
    """How probable it is that the target accepts a draft's next token: by source, and by how long the match was."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], tuple[float, float]] = {}

    def observe(self, source: str, match_length: int, proposed: int, accepted: int) -> None:
        """Learn that the first `accepted` of `proposed` tokens were.

        What was not looked at because the reply had ended doesn't count as proposed; what comes after the first
        refusal may.
        """
        if not proposed:
            return
        kind = _kind(source, match_length)
        good, bad = self._counts.get(kind, _assumed(kind))
        self._counts[kind] = good * _KEPT + accepted, bad * _KEPT + (accepted < proposed)

    def probability(self, source: str, match_length: int) -> float:
        """Return the accepted share of recent tokens; what was assumed at first is forgotten like the rest."""
        kind = _kind(source, match_length)
        good, bad = self._counts.get(kind, _assumed(kind))
        return good / (good + bad)


class Exploration:
    """Tries a draft that doesn't seem to pay, so that one that would is found out.

    What trials cost beyond plain decoding, as far as the costs are known, is at most `share` of the time.
    """

    def __init__(self, share: float = 0.005) -> None:
        self._share = share
        self._saved_ms = 0.0
        self._trials = 0

    def elapsed(self, ms: float) -> None:
        """Count the time of a step."""
        self._saved_ms += ms * self._share

    def length(self, costs: StepCosts, draft_cost_ms_per_token: float, others: int, most: int) -> int:
        """Return how many tokens of a draft to try now, nearly always 0; the arguments are those of `choose`."""
        wanted = min(_TRIALS[self._trials % len(_TRIALS)], most)
        extra_ms = costs.ms(others + 1 + wanted) - costs.ms(others + 1) + wanted * draft_cost_ms_per_token
        if wanted < 1 or self._saved_ms < extra_ms or not self._saved_ms:
            return 0
        self._trials += 1
        self._saved_ms = 0.0  # what was saved while there was nothing to try must not make a burst of trials
        return wanted


def choose(costs: StepCosts, probability: float, draft_cost_ms_per_token: float, others: int, most: int) -> int:
    """Return the draft's length, 0 to `most`, that makes the most tokens per millisecond.

    Of k tokens each accepted with `probability`, 1 + p + ... + p^k are emitted (Leviathan et al. 2023, arXiv
    2211.17192). `others` tokens of other sessions are in the same batch and count as one emitted token each: a longer
    draft has to bring more than they lose by waiting for it.
    """
    best, best_rate = 0, (others + 1 + _MARGIN) / costs.ms(others + 1)
    emitted = certain = 1.0
    for length in range(1, most + 1):
        certain *= probability
        emitted += certain
        if length != most and length not in _LENGTHS:
            continue  # this is asked in every step
        rate = (others + emitted) / (costs.ms(others + 1 + length) + length * draft_cost_ms_per_token)
        if rate > best_rate:
            best, best_rate = length, rate
    return best


def _kind(source: str, match_length: int) -> tuple[str, int]:
    return source, max(length for length in _PRIOR if length <= match_length)


def _assumed(kind: tuple[str, int]) -> tuple[float, float]:
    return _PRIOR[kind[1]] * _PRIOR_TOKENS, (1 - _PRIOR[kind[1]]) * _PRIOR_TOKENS
