"""`voicebot bench kills`: a conversation whose workers are killed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from voicebot.bench.kills import measure_kills
from voicebot.cli.bench.common import BudgetMissedError, show
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store
from voicebot.cli.conversations import read_clips
from voicebot.cli.live import LivePrinter
from voicebot.events import ignore


def kills(
    *,
    times: Annotated[int, typer.Option(min=1, help="Of each worker.")] = 20,
    limit_ms: Annotated[float, typer.Option(help="Until the worker is back.")] = 3000,
    long_question: Annotated[Path, typer.Option(help="A clip that is answered at length.")] = Path(
        "fixtures/clips/long-story.wav"
    ),
    question: Annotated[Path, typer.Option()] = Path("fixtures/questions/spider.wav"),
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Kill every worker during replies; exits with 1 unless each is back in time and the next turn is answered."""
    settings = load(pipeline, profile)
    first, second = read_clips([long_question, question])
    observer = ignore if as_json else LivePrinter(Console(highlight=False, soft_wrap=True))
    result = asyncio.run(measure_kills(settings, open_store(settings), first, second, times, observer))
    show(result, as_json=as_json)
    slowest = max(times_ms["max"] or 0.0 for times_ms in result["back_ms"].values())
    if slowest > limit_ms or result["orphans"]:
        raise BudgetMissedError(
            f"a worker took {slowest:.0f} ms to be back, or {result['orphans']} processes are left."
        )
