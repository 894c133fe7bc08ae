"""How long a reply's clauses may be: the service's own plan, which knows the costs as a perfect fit would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from voicebot.config.pipeline import ClauseSettings, LadderSettings, SlmSettings
from voicebot.latency.cost import StageCost
from voicebot.latency.costs import Costs
from voicebot.latency.fits import FitKey
from voicebot.latency.plan import TOKENS_PER_WORD, Ladders
from voicebot.sim.chip import Chip
from voicebot.sim.costs import FIRST_WINDOW_PHONEMES, Models, stage_cost

_PROMPT_TOKENS: Final = 8.0
"""What of a request is not read ahead, the chat template included."""
_KHZ_PER_GHZ: Final = 1e6


@dataclass(slots=True)
class _Stopped:
    """A watch for costs that are known, not learnt."""

    def now_s(self) -> float:
        return 0.0


class Shapes:
    """The plan of all sessions of a box."""

    def __init__(self, chip: Chip, models: Models, threads: int, settings: LadderSettings | None = None) -> None:
        known = _known(chip, models, threads)
        keys = {stage: FitKey(stage, models.name, chip.name, threads) for stage in known}
        self.costs = Costs(_Stopped(), keys, {keys[stage]: cost for stage, cost in known.items()})
        self._ladders = Ladders(self.costs, settings)

    def cut(self, clauses: Sequence[int], left_s: float) -> tuple[int, ...]:
        """Return the clauses that a reply has, in tokens; `clauses` is where it pauses, `left_s` until it is due."""
        shape, _ = self._ladders.plan(lambda: left_s).shape(0, ClauseSettings(), SlmSettings().max_tokens)
        return cut(clauses, round(shape.first_words * TOKENS_PER_WORD), round(shape.later_words * TOKENS_PER_WORD))


def cut(clauses: Sequence[int], first: int, later: int) -> tuple[int, ...]:
    """Return clauses of so many tokens at most. What the first one loses is spoken with the next, as one sentence."""
    whole = list(clauses)
    pieces = [min(whole[0], first)]
    rest = whole.pop(0) - pieces[0]
    if whole:
        whole[0] += rest
    elif rest:
        whole = [rest]
    for clause in whole:
        left = clause
        while left:
            pieces.append(min(left, later))
            left -= pieces[-1]
    return tuple(pieces)


def _known(chip: Chip, models: Models, threads: int) -> dict[str, StageCost]:
    """Return what the daemon's fits would be on the best cores at their top: seconds, in the daemon's own units."""
    best = max(chip.box.clusters, key=lambda cluster: cluster.capacity)
    ghz = best.highest_khz / _KHZ_PER_GHZ
    read, decode, speak = (stage_cost(chip, models, stage, best.name, threads) for stage in ("slm_read", "slm", "tts"))
    return {
        "slm_read": StageCost(read.seconds(_PROMPT_TOKENS, ghz), 0.0, 0.0, read.margin),
        "slm": StageCost(0.0, decode.seconds(1.0, ghz), 0.0, decode.margin),
        "tts_first": StageCost(speak.seconds(FIRST_WINDOW_PHONEMES, ghz), 0.0, 0.0, speak.margin),
    }
