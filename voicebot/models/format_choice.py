"""Decides which format of a language model's weights is best: the fastest that still predicts as well."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from voicebot.models.tuned import Figures, Speed

MOST_LOSS: Final = 0.02
LEAST_GAIN: Final = 0.03
"""A gain within the noise of the measurement is not worth another file."""

_CLAUSE_TOKENS: Final = 16
_LONG_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that was measured, the installed file first, and the name of the format that is used from now on."""

    measured: tuple[Figures, ...]
    chosen: str


def turn_ms(speed: Speed) -> float:
    """Return what a user waits for the language model in a typical turn.

    The end of the sentence that partials have not warmed is 16 tokens. Every second turn reads a long piece as well:
    a changed history, a tool's result. Then come the 16 tokens of a first clause. The rest of the reply is decoded
    many times faster than it is spoken, so nobody waits for it.
    """
    return speed.prefill_16_ms + _LONG_SHARE * speed.prefill_128_ms + _CLAUSE_TOKENS * speed.token_ms


def loss(figures: Figures, installed: Figures) -> float:
    """Return the relative growth of perplexity."""
    return figures.perplexity / installed.perplexity - 1


def choose(measured: Sequence[Figures], most_loss: float = MOST_LOSS) -> Figures:
    """Return the fastest within the loss; the first, which is the installed one, unless another is clearly faster."""
    installed = measured[0]
    close = [each for each in measured[1:] if loss(each, installed) <= most_loss]
    best = min(close, key=lambda each: turn_ms(each.speed), default=installed)
    return best if turn_ms(best.speed) <= (1 - LEAST_GAIN) * turn_ms(installed.speed) else installed


def relative_speed(installed: Speed, pairs: Sequence[tuple[Speed, Speed]]) -> Speed:
    """Return the times of a candidate as they were beside `installed`: its times by the median ratio of the pairs.

    A pair is (installed, candidate), measured one right after the other.
    """
    return _each(
        lambda name: (
            getattr(installed, name)
            * statistics.median(getattr(candidate, name) / getattr(base, name) for base, candidate in pairs)
        )
    )


def median_speed(speeds: Sequence[Speed]) -> Speed:
    """Return the median of each time."""
    return _each(lambda name: statistics.median(getattr(speed, name) for speed in speeds))


def _each(time_ms: Callable[[str], float]) -> Speed:
    return Speed(**{name: time_ms(name) for name in Speed.model_fields})
