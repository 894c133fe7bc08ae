"""`voicebot bench slm`: the serving engine of the language model."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from voicebot.bench.slm.report import Part, PartName, Row, missed, rounded
from voicebot.cli.bench.common import BudgetMissedError
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.errors import UsageError
from voicebot.workers.process import worker_environment

_WIDTH = 160


def slm(
    names: Annotated[list[PartName] | None, typer.Argument(metavar="PART...", help="By default all of them.")] = None,
    *,
    repeats: Annotated[int, typer.Option(min=1)] = 5,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Measure the language model's engine: start, memory, first token, drafts, sessions at once, stop.

    The parts are start, memory, first-token, decode, speculation, lossless, draft-models, sessions, stop.
    Exits with 1 when a limit is missed.
    """
    settings = load(pipeline, profile)
    if settings.pipeline.slm.engine != "llama":
        raise UsageError(f"the pipeline {settings.pipeline_name!r} has no language model; name another --pipeline.")
    os.environ |= worker_environment()  # OpenMP reads it when the engine's library is loaded
    from voicebot.bench.slm.run import measure  # noqa: PLC0415

    parts: dict[str, Part] = {}
    wanted = list(dict.fromkeys(names or PartName))
    for name, part in measure(settings, open_store(settings), wanted, repeats):
        parts[name.value] = part
        if not as_json:
            _print(name.value, part)
    over = missed(parts)
    if as_json:
        print_json(
            {
                "schema": 1,
                "pipeline": settings.pipeline_name,
                "profile": settings.profile_name,
                "model": settings.pipeline.slm.model,
                "repeats": repeats,
                "parts": {name: part.as_json() for name, part in parts.items()},
                "missed": over,
            }
        )
    if over:
        raise BudgetMissedError(f"over the limit: {'; '.join(over)}.")


def _print(name: str, part: Part) -> None:
    console = Console(highlight=False) if sys.stdout.isatty() else Console(width=_WIDTH, highlight=False)
    for title, rows in part.tables.items():
        if rows:
            console.print(f"[bold]{name}: {title}[/]", _table(rows), sep="\n", end="\n\n")
    for limit in part.limits:
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("at most", limit.at_most), ("at least", limit.at_least))
            if bound is not None
        ]
        verdict = "met" if limit.met else "[bold red]missed[/]"
        console.print(f"{limit.figure}: {rounded(limit.value)}, {' and '.join(bounds)}: {verdict}", soft_wrap=True)
    console.print()


def _table(rows: Sequence[Row]) -> Table:
    table = Table(*rows[0], box=None, pad_edge=False)
    for name, column in zip(rows[0], table.columns, strict=True):
        if not isinstance(rows[0][name], str):
            column.justify = "right"
    for row in rows:
        table.add_row(*("-" if value is None else f"{rounded(value)}" for value in row.values()))
    return table
