"""A comparison from its question to its figures: who is simulated, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from voicebot.errors import UsageError
from voicebot.sim.chip import Chip
from voicebot.sim.compare import GAINS, VOICEBOT, Row, Verdict, judge, without
from voicebot.sim.costs import Models
from voicebot.sim.run import Outcome, Regime, simulate
from voicebot.sim.sensitivity import Variation, variations

Step = Callable[[str], None]
"""Is told what is simulated next."""
_AROUND_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Question:
    """A box, its users, and for how long."""

    chip: Chip
    models: Models
    users: int
    seconds: float
    seed: int
    regimes: Sequence[Regime]
    gains: bool = False
    """Whether the gain is taken apart."""
    vary: float = 0.0
    """By what share each parameter is varied; 0 is not at all."""

    def run(self, regime: Regime, chip: Chip | None = None) -> Outcome:
        """Simulate one of them, on another box if need be. Raises UsageError where that is too short for a turn."""
        outcome = simulate(chip or self.chip, self.models, regime, self.users, self.seconds, self.seed)
        if not outcome.turns:
            raise UsageError(f"nobody was answered in {self.seconds / 60:g} minutes by {regime.name}; simulate more.")
        return outcome


@dataclass(frozen=True, slots=True)
class Study:
    """What came of it."""

    question: Question
    outcomes: Sequence[Outcome]
    without: Sequence[Row] = ()
    """Voicebot without each of its gains."""
    variations: Sequence[Variation] = ()
    rows: Sequence[Row] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", [Row.of(each) for each in self.outcomes])

    @property
    def voicebot(self) -> Row | None:
        """Voicebot's row, if it was simulated."""
        return next((row for row in self.rows if row.name.startswith(VOICEBOT)), None)

    @property
    def verdict(self) -> Verdict | None:
        """Voicebot's against all others; None without either."""
        row = self.voicebot
        others = [each for each in self.rows if each is not row]
        return judge(row, others) if row is not None and others else None


def study(question: Question, step: Step) -> Study:
    """Simulate all that is asked for."""

    def run(regime: Regime) -> Outcome:
        step(regime.name)
        return question.run(regime)

    def varied(chip: Chip) -> list[Row]:
        return [Row.of(question.run(regime, chip)) for regime in question.regimes]

    outcomes = [run(regime) for regime in question.regimes]
    apart = [Row.of(run(without([gain]))) for gain in GAINS] if question.gains else []
    changed = []
    for each in variations(question.chip, question.vary, varied) if question.vary else ():
        step(f"{each.parameter} x {each.factor:g}")
        changed.append(each)
    return Study(question, outcomes, apart, changed)


def first_turn(question: Question, outcome: Outcome) -> Outcome:
    """Simulate again up to the end of the first turn that was heard out, with every detail around it."""
    turn = min((each for each in outcome.turns if each.end_s > 0), key=lambda turn: turn.end_s)
    around_s = (max(0.0, turn.begin_s - _AROUND_S), turn.end_s + _AROUND_S)
    regime = next(regime for regime in question.regimes if regime.name == outcome.regime)
    chip, models, users = question.chip, question.models, question.users
    return simulate(chip, models, regime, users, around_s[1], question.seed, detail_s=around_s)
