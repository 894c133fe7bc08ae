"""`voicebot bench idle`: what the box costs while nobody speaks."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from voicebot.bench.idle import measure_idle
from voicebot.cli.bench.common import BudgetMissedError, show
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store


def idle(
    *,
    minutes: Annotated[float, typer.Option(min=0.05)] = 5.0,
    noise_dbfs: Annotated[float, typer.Option(max=0, help="Level of the noise at the microphone.")] = -70.0,
    limit_percent: Annotated[float, typer.Option(help="Of one core.")] = 4.0,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Measure what the box costs while nobody speaks; exits with 1 beyond the limit."""
    settings = load(pipeline, profile)
    result = asyncio.run(measure_idle(settings, open_store(settings), minutes * 60, noise_dbfs))
    show(result, as_json=as_json)
    if result["cpu_percent_of_one_core"] > limit_percent or result["turns_opened"]:
        raise BudgetMissedError(f"an idle box takes more than {limit_percent} % of a core, or noise opened a turn.")
