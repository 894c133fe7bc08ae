"""What a simulation showed, for people."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from voicebot.sim.compare import Row, Standing, Verdict
from voicebot.sim.crowd import Crowd, ceiling
from voicebot.sim.study import Study
from voicebot.sim.validation import Validation

_MEANING = {
    Standing.BEYOND: "beyond the others' front of energy and p95",
    Standing.ON: "on the others' front of energy and p95, above the line between its points",
    Standing.BEHIND: "behind the others' front: somebody takes neither longer nor more energy",
}


def print_study(study: Study) -> None:
    """Print the governors, voicebot's place among them, and whatever else was asked for."""
    question = study.question
    typical = f"{question.users} user{'s' * (question.users > 1)} for {question.seconds / 60:g} minutes"
    console().print(f"{question.chip.name}, {question.models.name}, {typical}, seed {question.seed}\n")
    _print_rows(study.rows)
    if study.verdict is not None:
        _print_verdict(study.verdict)
    if question.users > 1:
        _print_crowd(study)
    if study.without and study.voicebot is not None:
        _print_gains(study.without, study.voicebot)
    if study.variations:
        _print_variations(study)


def print_validation(validation: Validation) -> None:
    """Print what was predicted beside what was measured."""
    table = new_table("ms", "measured", "predicted", "difference")
    for name, quantiles in validation.quantiles_ms.items():
        for share, pair in quantiles.items():
            table.add_row(
                f"{name}, {share}", f"{pair.measured:.0f}", f"{pair.predicted:.0f}", f"{pair.difference:+.0%}"
            )
    console().print(f"{validation.turns} turns on {validation.cores} core{'s' * (validation.cores > 1)}\n")
    console().print(table)


def _print_rows(rows: Sequence[Row]) -> None:
    names = ("p50 ms", "p95 ms", "mean ms", "J per turn", "active J", "idle W", "mean °C", "max °C", "throttled")
    table = new_table("", "turns", *names, "underruns")
    for row in rows:
        table.add_row(
            row.name,
            str(row.turns),
            f"{row.p50_ms:.0f}",
            f"{row.p95_ms:.0f}",
            f"{row.mean_ms:.0f}",
            f"{row.turn_j:.1f}",
            f"{row.active_j:.1f}",
            f"{row.idle_w:.2f}",
            f"{row.mean_c:.1f}",
            f"{row.hottest_c:.1f}",
            str(row.throttle_events),
            str(row.underruns),
        )
    console().print(table)


def _print_verdict(verdict: Verdict) -> None:
    known = math.isfinite(verdict.saving)
    saved = f", {verdict.saving:+.0%} energy saved at the same p95" if known else ", faster than all of it"
    console().print(f"\nvoicebot is {_MEANING[verdict.standing]}{saved}.")
    table = new_table("voicebot against", "p95", "J per turn")
    for name, p95 in verdict.p95.items():
        table.add_row(name, f"{p95:+.1%}", f"{verdict.energy[name]:+.1%}")
    console().print(table)


def _print_gains(rows: Sequence[Row], full: Row) -> None:
    table = new_table("", "p95 ms", "against all", "J per turn", "against all", "underruns")
    for row in rows:
        p95, energy = row.p95_ms / full.p95_ms - 1, row.turn_j / full.turn_j - 1
        table.add_row(
            row.name, f"{row.p95_ms:.0f}", f"{p95:+.1%}", f"{row.turn_j:.1f}", f"{energy:+.1%}", str(row.underruns)
        )
    console().print()
    console().print(table)


def _print_variations(study: Study) -> None:
    names = [row.name for row in study.rows if row.name in {"schedutil", "performance"}]
    table = new_table(
        "parameter", "x", "place", "saved", *(f"{what}, {name}" for name in names for what in ("p95", "J"))
    )
    for each in study.variations:
        against = [f"{value:+.1%}" for name in names for value in (each.verdict.p95[name], each.verdict.energy[name])]
        saved = f"{each.verdict.saving:+.0%}" if math.isfinite(each.verdict.saving) else "-"
        table.add_row(each.parameter, f"{each.factor:g}", each.verdict.standing, saved, *against)
    console().print()
    console().print(table)


def _print_crowd(study: Study) -> None:
    question = study.question
    table = new_table("", "mean ms", "best p95", "worst p95", "worst/best", "cores busy", "throttled s")
    for crowd in map(Crowd.of, study.outcomes):
        best, worst = min(crowd.p95_ms.values()), max(crowd.p95_ms.values())
        table.add_row(
            crowd.name,
            f"{crowd.mean_ms:.0f}",
            f"{best:.0f}",
            f"{worst:.0f}",
            f"{crowd.unfairness:.2f}",
            f"{crowd.busy:.0%}",
            f"{crowd.throttled_s:.0f}",
        )
    bound = ceiling(question.chip, question.models, question.users)
    console().print()
    console().print(table)
    console().print(
        f"tokens/s: {bound.asked_tokens_s:.0f} asked for; the memory allows {bound.alone_tokens_s:.0f} for one user "
        f"alone, {bound.together_tokens_s:.0f} with all in every step."
    )


def new_table(*names: str) -> Table:
    """Return an empty table; all but the first column are numbers."""
    table = Table(*names, box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def console() -> Console:
    """Return one that does not break lines."""
    return Console(highlight=False, soft_wrap=True) if sys.stdout.isatty() else Console(width=180, highlight=False)
