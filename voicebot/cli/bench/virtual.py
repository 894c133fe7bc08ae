"""`voicebot bench virtual`: our own code without any model."""

from __future__ import annotations

from typing import Annotated

import typer

from voicebot.bench.virtual import measure_virtual
from voicebot.cli.bench.common import BudgetMissedError, show
from voicebot.cli.common import JsonOption, load


def virtual(
    *,
    minutes: Annotated[float, typer.Option(min=0.1)] = 10.0,
    limit_s: Annotated[float, typer.Option()] = 2.0,
    as_json: JsonOption = False,
) -> None:
    """Replay a scripted conversation in virtual time; exits with 1 beyond the limit."""
    result = measure_virtual(load("scripted", "voicebot"), minutes)
    show(result, as_json=as_json)
    if result["took_s"] > limit_s:
        raise BudgetMissedError(f"{minutes} minutes took {result['took_s']} s; the limit is {limit_s} s.")
