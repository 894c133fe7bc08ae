"""Keeps what the stages' work costs from one start to the next: a JSON file in the cache directory."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicebot.latency.cost import StageCost

_log = logging.getLogger(__name__)
_Seconds = Annotated[float, Field(ge=0)]


class FitKey(NamedTuple):
    """What a cost is of: the same work is another cost with another model, kind of core or number of threads."""

    stage: str
    model: str
    core: str
    threads: int


class _Fit(BaseModel):
    """One fit as it is in the file: seconds, giga-cycles and seconds per unit, the 90th percentile's margin."""

    model_config = ConfigDict(allow_inf_nan=False, frozen=True)

    stage: str
    model: str
    core: str
    threads: int
    base_s: _Seconds
    gcycles_per_unit: _Seconds
    memory_s_per_unit: _Seconds
    margin: float = Field(gt=0)


class _File(BaseModel):
    fits: list[_Fit]


def read_fits(path: Path) -> dict[FitKey, StageCost]:
    """Return the costs in a file; none, with one line in the log, when it can't be read."""
    try:
        fits = _File.model_validate_json(path.read_bytes()).fits
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        _log.warning("%s: what the stages' work costs can't be read (%s); it is learnt anew", path, reason)
        return {}
    return {
        FitKey(fit.stage, fit.model, fit.core, fit.threads): StageCost(
            fit.base_s, fit.gcycles_per_unit, fit.memory_s_per_unit, fit.margin
        )
        for fit in fits
    }


def write_fits(path: Path, costs: Mapping[FitKey, StageCost]) -> None:
    """Put the costs in the file, beside those of other keys; a reader sees the old file or the new one.

    A file that can't be written costs one line of the log.
    """
    fits = [
        _Fit(
            **key._asdict(),
            base_s=cost.base_s,
            gcycles_per_unit=cost.gcycles_per_unit,
            memory_s_per_unit=cost.memory_s_per_unit,
            margin=cost.margin,
        )
        for key, cost in sorted((read_fits(path) | dict(costs)).items())
    ]
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(_File(fits=fits).model_dump_json(indent=1), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        _log.warning("%s: what the stages' work costs can't be written (%s)", path, error)
        with contextlib.suppress(OSError):
            fresh.unlink()
