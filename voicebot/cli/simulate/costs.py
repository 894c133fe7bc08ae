"""`voicebot simulate --costs`: whether the daemon would learn what the simulated stages really take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from voicebot.cli.simulate.tables import console, new_table
from voicebot.errors import UsageError
from voicebot.sim.compare import VOICEBOT, without
from voicebot.sim.recovery import Recovered, fixed_points, recover
from voicebot.sim.study import Question, Step

Runs = Mapping[str, Sequence[Recovered]]
"""What was learnt, by what set the frequencies."""


def learnt(question: Question, step: Step) -> Runs:
    """Simulate the policy, and then every fixed frequency of the fastest cores. Raises UsageError for several users."""
    if question.users > 1:
        raise UsageError("--costs is for one user: requests of several hinder each other.")
    runs = {}
    for name, regimes in ((VOICEBOT, [without([])]), ("fixed frequencies", fixed_points(question.chip))):
        outcomes = []
        for regime in regimes:
            step(regime.name)
            outcomes.append(question.run(regime))
        runs[name] = recover(question.chip, question.models, outcomes)
    return runs


def described_costs(question: Question, runs: Runs) -> dict[str, Any]:
    """Return everything as one JSON object."""
    return {
        "schema": 1,
        "box": question.chip.name,
        "model": question.models.name,
        "minutes": question.seconds / 60,
        "seed": question.seed,
        "runs": {
            name: [{**asdict(each), "error": round(each.error, 4)} for each in found] for name, found in runs.items()
        },
    }


def print_costs(question: Question, runs: Runs) -> None:
    """Print a table for each run."""
    chip, minutes = question.chip.name, f"{question.seconds / 60:g} minutes"
    console().print(f"{chip}, {question.models.name}, {minutes} each, seed {question.seed}")
    for name, found in runs.items():
        table = new_table(
            name, "cores", "requests", "hindered", "GHz", "c true", "c fitted", "error", "m true", "m fitted"
        )
        for each in found:
            low, high = each.ghz
            c_true, m_true = each.true.gcycles_per_unit, each.true.memory_s_per_unit
            c_fitted, m_fitted = each.fitted.gcycles_per_unit, each.fitted.memory_s_per_unit
            table.add_row(
                each.stage,
                f"{each.threads} of {each.core}",
                str(each.requests),
                str(each.hindered),
                f"{low:.2f}-{high:.2f}",
                f"{c_true:.4f}",
                f"{c_fitted:.4f}",
                f"{each.error:+.1%}" if each.identifiable else "one frequency",
                f"{1000 * m_true:.2f}",
                f"{1000 * m_fitted:.2f}",
            )
        console().print()
        console().print(table)
    console().print("\nc in 10^9 cycles, m in ms, for a second, a token, a phoneme or a look.")
