"""What the benchmarks share: the clips they speak, how figures are shown, the error of a missed limit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from voicebot.bench.stages import default_clips
from voicebot.cli.common import print_json
from voicebot.errors import UsageError, VoicebotError

ClipsArgument = Annotated[list[Path] | None, typer.Argument(help="Questions to speak; by default fixtures/questions.")]


class BudgetMissedError(VoicebotError):
    """A figure is beyond its limit."""


def questions(clips: list[Path] | None) -> list[Path]:
    """Return the clips that were named, or the fixtures. Raises UsageError when there are none."""
    found = clips or [default_clips()]
    if not clips and not found[0].is_dir():
        raise UsageError("there is no fixtures/questions here; name the clips to speak.")
    return found


def show(result: dict[str, Any], *, as_json: bool, indent: str = "") -> None:
    """Print figures, as one JSON object or a line each."""
    if as_json:
        print_json(result)
        return
    for name, value in result.items():
        if isinstance(value, dict):
            typer.echo(f"{indent}{name}")
            show(value, as_json=False, indent=indent + "  ")
        else:
            typer.echo(f"{indent}{name:<24} {value}")
