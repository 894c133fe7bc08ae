"""`voicebot plan`: what the models need in memory, against what the box has."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.errors import UsageError
from voicebot.memory import memory_plan
from voicebot.models.plan import MemoryPlan

REFERENCE_MB: Final = {"weights_mb": 1500, "kv_mb": 1000, "audio_mb": 500, "work_mb": 1000}
"""How a box of 4 GB is meant to be split."""


def plan(
    *,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    context: Annotated[
        int | None, typer.Option(min=256, max=131_072, help="Tokens of each conversation; default: the pipeline's.")
    ] = None,
    sessions: Annotated[int, typer.Option(min=1, max=1000, help="Conversations at the same time.")] = 1,
    model_ids: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="ID", help="In place of the pipeline's model of that stage; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what fits in memory: weights, KV cache, audio and working memory. Exits with 1 when it does not fit."""
    settings = load(pipeline, profile)
    context_tokens = context or settings.pipeline.slm.context_tokens
    planned = memory_plan(
        settings, open_store(settings), context_tokens=context, sessions=sessions, model_ids=model_ids or ()
    )
    if not planned.rows:
        raise UsageError(f"the pipeline {settings.pipeline_name!r} needs no model; name one with --model.")
    if as_json:
        asked = {"context_tokens": context_tokens, "sessions": sessions}
        print_json(
            {"pipeline": settings.pipeline_name, "profile": settings.profile_name, **asked, **described(planned)}
        )
    else:
        _print(planned, f"{sessions} x {context_tokens} tokens")
    planned.check()


def split_mb(planned: MemoryPlan) -> dict[str, float]:
    """Return the need by what it is for, under the keys of REFERENCE_MB."""
    return {
        "weights_mb": sum(row.weights_mb for row in planned.rows),
        "kv_mb": sum(row.kv_mb for row in planned.rows),
        "audio_mb": planned.audio_mb,
        "work_mb": sum(row.work_mb for row in planned.rows),
    }


def described(planned: MemoryPlan) -> dict[str, Any]:
    """Return the plan as JSON has it, in MB of 10^6 bytes."""
    return {
        "models": [
            {
                "id": row.model.id,
                "stage": row.model.stage,
                "weights_mb": round(row.weights_mb, 1),
                "kv_mb": round(row.kv_mb, 1),
                "work_mb": round(row.work_mb, 1),
                "total_mb": round(row.total_mb, 1),
            }
            for row in planned.rows
        ],
        "split": {name: round(value, 1) for name, value in split_mb(planned).items()},
        "reference_split": REFERENCE_MB,
        "needed_mb": round(planned.total_mb, 1),
        "available_mb": round(planned.available_mb, 1),
        "fits": planned.fits,
        "refusal": "" if planned.fits else planned.refusal(),
        "formula": planned.formula,
    }


def _print(planned: MemoryPlan, conversations: str) -> None:
    table = Table("MB", "stage", "weights", "KV", "audio", "work", "total", box=None, pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    for row in planned.rows:
        needs = {"weights_mb": row.weights_mb, "kv_mb": row.kv_mb, "work_mb": row.work_mb}
        _row(table, row.model.id, row.model.stage, needs)
    _row(table, f"conversations: {conversations}", "", {"audio_mb": planned.audio_mb})
    _row(table, "[bold]all[/]", "", split_mb(planned))
    _row(table, "[dim]the split of a 4 GB box[/]", "", REFERENCE_MB)
    console = Console(highlight=False) if sys.stdout.isatty() else Console(width=160, highlight=False)
    console.print(table)
    verdict = "it fits" if planned.fits else "[bold red]it does not fit[/]"
    console.print(f"\n{planned.total_mb:.0f} MB of {planned.available_mb:.0f} MB available: {verdict}.", soft_wrap=True)
    console.print(f"[dim]{planned.formula}[/]", soft_wrap=True)


def _row(table: Table, name: str, stage: str, needs: Mapping[str, float]) -> None:
    cells = [f"{needs[part]:.0f}" if part in needs else "-" for part in REFERENCE_MB]
    table.add_row(name, stage, *cells, f"{sum(needs.values()):.0f}")
