"""What a simulation showed, as one JSON object: milliseconds, joules, watts, degrees Celsius; null is unknown."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from voicebot.sim.compare import Row, Verdict, front
from voicebot.sim.crowd import Ceiling, Crowd, ceiling
from voicebot.sim.study import Study
from voicebot.sim.validation import Validation


def described(study: Study) -> dict[str, Any]:
    """Return all of a study."""
    question = study.question
    bound = ceiling(question.chip, question.models, question.users)
    others = [row for row in study.rows if row is not study.voicebot]
    return {
        "schema": 1,
        "box": question.chip.name,
        "model": question.models.name,
        "users": question.users,
        "minutes": question.seconds / 60,
        "seed": question.seed,
        "rows": [_row(row) for row in study.rows],
        "front": [row.name for row in front(others)],
        "verdict": None if study.verdict is None else _verdict(study.verdict),
        "without": [_row(row) for row in study.without],
        "variations": [
            {"parameter": each.parameter, "factor": each.factor, **_row(each.row), "verdict": _verdict(each.verdict)}
            for each in study.variations
        ],
        "memory": _ceiling(bound),
        "crowd": [_crowd(Crowd.of(outcome)) for outcome in study.outcomes],
    }


def described_validation(validation: Validation) -> dict[str, Any]:
    """Return what was predicted beside what was measured."""
    rows = {
        name: {share: {"measured": _number(pair.measured), "predicted": _number(pair.predicted)} for share, pair in of}
        for name, of in ((name, quantiles.items()) for name, quantiles in validation.quantiles_ms.items())
    }
    return {"schema": 1, "cores": validation.cores, "turns": validation.turns, "ms": rows}


def _row(row: Row) -> dict[str, Any]:
    return {name: _number(value) if isinstance(value, float) else value for name, value in asdict(row).items()}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "standing": verdict.standing,
        "saving": _number(verdict.saving, 4),
        "p95": {name: _number(value, 4) for name, value in verdict.p95.items()},
        "energy": {name: _number(value, 4) for name, value in verdict.energy.items()},
    }


def _ceiling(bound: Ceiling) -> dict[str, Any]:
    return {name: _number(value) for name, value in asdict(bound).items()}


def _crowd(crowd: Crowd) -> dict[str, Any]:
    return {
        "name": crowd.name,
        "p95_ms": {name: _number(value) for name, value in crowd.p95_ms.items()},
        "unfairness": _number(crowd.unfairness),
        "busy": _number(crowd.busy, 4),
    }


def _number(value: float, digits: int = 2) -> float | None:
    return round(value, digits) if math.isfinite(value) else None
