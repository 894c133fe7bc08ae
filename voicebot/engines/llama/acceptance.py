"""Which of a draft's tokens are the target's own: verification that changes nothing of what would have been said.

The target's distribution is that of the request's whole chain of samplers, penalties and grammar included, so every
emitted token is accepted into the sampler before the next row is looked at.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from voicebot.engines.llama.drafts import Draft
from voicebot.engines.llama.sampling import Sampler

Rows = Callable[[int], NDArray[np.float32]]
"""Returns the target's raw logits after the first i tokens of a draft, i from 0 to its length; shape (vocabulary,)."""
Ends = Callable[[int], bool]
"""Says whether a token ends the reply."""


def verify(sampler: Sampler, rows: Rows, draft: Draft, random: np.random.Generator, ends: Ends) -> list[int]:
    """Return the tokens that come next: as many of the draft's as are accepted, and one of the target's own.

    One to len(draft) + 1 tokens, distributed as if they had been sampled one by one, each accepted into the sampler.
    The last one is the first that ends the reply, if any does. An empty draft is plain decoding.
    """
    if draft.probabilities is None or sampler.greedy:
        return accept_chosen(sampler, rows, draft.tokens, ends)
    return accept_sampled(sampler, rows, draft.tokens, draft.probabilities, random, ends)


def accept_chosen(sampler: Sampler, rows: Rows, tokens: tuple[int, ...], ends: Ends) -> list[int]:
    """Sample the target row by row, and go on while it says what the draft says.

    Lossless for every draft that was made without chance, and at temperature 0 for all.
    """
    emitted: list[int] = []
    for place in range(len(tokens) + 1):
        token = sampler.sample(rows(place))
        sampler.accept(token)
        emitted.append(token)
        if ends(token) or place == len(tokens) or token != tokens[place]:
            break
    return emitted


def accept_sampled(
    sampler: Sampler,
    rows: Rows,
    tokens: tuple[int, ...],
    probabilities: NDArray[np.float64],
    random: np.random.Generator,
    ends: Ends,
) -> list[int]:
    """Accept a token drawn from q with probability min(1, p/q); in place of the first other draw from max(p - q, 0).

    Speculative sampling (Leviathan et al. 2023, arXiv 2211.17192). `probabilities` are q, shape (tokens, vocabulary).
    """
    emitted: list[int] = []
    for place, drawn in enumerate(tokens):
        target, draft = sampler.distribution(rows(place)), probabilities[place]
        accepted = random.random() * draft[drawn] < target[drawn]
        token = drawn if accepted else _residual(target, draft, random)
        sampler.accept(token)
        emitted.append(token)
        if not accepted or ends(token):
            return emitted
    bonus = sampler.sample(rows(len(tokens)))
    sampler.accept(bonus)
    return [*emitted, bonus]


def accepted_length(draft: Draft, emitted: list[int]) -> int:
    """Return how many of the draft's tokens were emitted; those after them are to be rolled back."""
    pairs = enumerate(zip(draft.tokens, emitted, strict=False))
    return next((place for place, (drawn, said) in pairs if drawn != said), min(len(draft), len(emitted)))


def _residual(target: NDArray[np.float64], draft: NDArray[np.float64], random: np.random.Generator) -> int:
    weights = np.maximum(target - draft, 0.0)
    support = np.flatnonzero(weights)
    if not support.size:  # the two differ by rounding alone
        weights, support = target, np.flatnonzero(target)
    reached = np.cumsum(weights[support])
    place = int(np.searchsorted(reached, random.random() * reached[-1], side="right"))
    return int(support[min(place, len(support) - 1)])
