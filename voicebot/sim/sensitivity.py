"""Whether a conclusion depends on what the box's model assumes: each of its parameters more and less, by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from voicebot.sim.chip import PARAMETERS, Chip, varied
from voicebot.sim.compare import Row, Verdict, judge

Simulate = Callable[[Chip], Sequence[Row]]
"""Simulates a box; the row to be judged comes first."""


@dataclass(frozen=True, slots=True)
class Variation:
    """One parameter at one value, and what became of the conclusion."""

    parameter: str
    factor: float
    row: Row
    verdict: Verdict


def variations(chip: Chip, share: float, simulate: Simulate, names: Sequence[str] = PARAMETERS) -> Iterator[Variation]:
    """Simulate the box with each parameter so much lower, and so much higher: 0.3 is 30 %."""
    for name in names:
        for factor in (1 - share, 1 + share):
            first, *others = simulate(varied(chip, name, factor))
            yield Variation(name, factor, first, judge(first, others))
