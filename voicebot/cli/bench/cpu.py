"""`voicebot bench cpu`: what the stages take on so many cores, and at which frequency; kept for the daemon."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from voicebot.bench.cpu import Measured, Step, measure_cpu
from voicebot.bench.speeds import Speeds
from voicebot.cli.bench.common import ClipsArgument, questions
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.cli.conversations import read_clips
from voicebot.daemon import costs_file
from voicebot.errors import UsageError
from voicebot.latency.fits import write_fits

_DIGITS = 6


def cpu(
    clips: ClipsArgument = None,
    *,
    cores: Annotated[
        list[int] | None, typer.Option(min=1, help="Only on so many; may be repeated. By default on 1, 2 ... all.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each size of work is done, at each frequency.")] = 8,
    keep: Annotated[bool, typer.Option(help="Let the daemon start from what was measured.")] = True,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Time every stage on one core, on two and so on, at a few frequencies where these can be set; keep the fit."""
    settings = load(pipeline, profile)
    audio = [clip.pcm for clip in read_clips(questions(clips))]
    speeds = Speeds(os.sched_getaffinity(0))
    speeds.settable &= settings.box.power.enabled  # else the daemon leaves them alone as well
    available = len(speeds.cores)
    counts = sorted(set(cores or range(1, available + 1)))
    if counts[-1] > available:
        raise UsageError(f"there is no core {counts[-1]}; {available} may be used.")
    try:
        with _progress() as step:
            measured = asyncio.run(measure_cpu(settings, open_store(settings), audio, counts, rounds, speeds, step))
    finally:
        speeds.restore()
    file = costs_file(settings) if keep and measured.fits else None
    if file is not None:
        write_fits(file, measured.fits)
    if as_json:
        print_json({**_described(measured), "kept_in": None if file is None else str(file)})
        return
    _print(measured)
    if file is not None:
        typer.echo(f"\nThe daemon starts from this: {file}")


def _described(measured: Measured) -> dict[str, Any]:
    rows = [{**asdict(row), "speed_up": measured.speed_up(row)} for row in measured.rows]
    return {"schema": 1, "in_cycles": measured.in_cycles, "rows": [_rounded(row) for row in rows]}


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON has
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, _DIGITS) if isinstance(value, float) else value


def _print(measured: Measured) -> None:
    cycles = "c 10^6 cycles" if measured.in_cycles else "c ms"
    table = Table("", "cores", "requests", "p50 ms", "speed-up", "a ms", cycles, "m ms", "error", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in sorted(measured.rows, key=lambda row: (row.stage, row.cores)):
        terms = ["", "", ""]
        if row.cost is not None:
            cost = row.cost
            terms = [f"{1000 * term:.2f}" for term in (cost.base_s, cost.gcycles_per_unit, cost.memory_s_per_unit)]
        error = "" if row.error is None else f"{row.error:.0%}"
        speed_up = f"{measured.speed_up(row):.2f}"
        table.add_row(row.stage, str(row.cores), str(row.requests), f"{row.p50_ms:.1f}", speed_up, *terms, error)
    Console(highlight=False).print(table)
    typer.echo("\nc and m for a second of speech, a token read, a token decoded, or a letter spoken.")


@contextmanager
def _progress() -> Iterator[Step]:
    """Say on a terminal's stderr what is measured."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda _what: None
        return
    with console.status("measuring") as status:
        yield lambda what: status.update(f"measuring on {what}")
