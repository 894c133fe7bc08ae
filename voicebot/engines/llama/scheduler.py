"""Who computes how many tokens in the next step: pure.

Whoever is replying gets a token in every step. What is left of the step goes to those who still read their prompt, the
earliest deadline first (EDF: Liu & Layland 1973); a deadline that is far away or missing comes no later than
`patience_s` after the request, so that nobody waits for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Need:
    """What one session would like to compute."""

    tokens: int
    replying: bool
    """It goes on with its reply, whose next token is one of the tokens."""
    arrived_s: float
    deadline_s: float
    """When it wants to be through with its prompt; infinity when nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a step may hold."""

    most: int
    """Tokens of any step."""
    shared: int
    """Tokens of a step in which somebody replies, so that his next token is not late."""
    least: int = 8
    """Tokens of prompts that every step has room for, however many reply."""
    patience_s: float = 1.0


def share_out(needs: Sequence[Need], limits: Limits) -> list[int]:
    """Return how many tokens each of them computes in the next step."""
    shares = [1 if need.replying else 0 for need in needs]
    replying = sum(shares)
    room = limits.most if replying == 0 else min(limits.most, max(limits.shared, replying + limits.least))
    room -= replying
    reading = [index for index, need in enumerate(needs) if not need.replying]
    for index in sorted(reading, key=lambda index: _due_s(needs[index], limits)):
        shares[index] = min(needs[index].tokens, room)
        room -= shares[index]
    return shares


def _due_s(need: Need, limits: Limits) -> float:
    return min(need.deadline_s, need.arrived_s + limits.patience_s)
