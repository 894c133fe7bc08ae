"""`voicebot bench endurance`: a conversation of hours, after which nothing may have grown."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Annotated, Any, Final

import typer

from voicebot.audio import Pcm
from voicebot.bench.endless_talk import Words
from voicebot.bench.endurance import Endurance, endure, endure_virtually
from voicebot.bench.growth import failures, series
from voicebot.bench.growth_plot import draw
from voicebot.cli.bench.common import BudgetMissedError, questions, show
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store
from voicebot.cli.conversations import read_clips
from voicebot.errors import UsageError
from voicebot.sim.plots import check_matplotlib

_VIRTUAL_LIMIT_MB: Final = 0.05
"""Per hour: 36 MB in a month. A leak of 300 bytes in each turn shows in a day."""
_REAL_LIMIT_MB: Final = 2.0
"""In half an hour nothing is seen below the steps in which allocators take memory, a MB in one of five processes."""


def endurance(
    *,
    minutes: Annotated[float | None, typer.Option(min=0.1, help="With real engines, in real time.")] = None,
    virtual_hours: Annotated[float | None, typer.Option(min=0.01, help="With scripted ones, in virtual time.")] = None,
    limit_mb: Annotated[float | None, typer.Option(help="Growth of memory per hour, after the warm-up.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw it.")] = None,
    seed: Annotated[int, typer.Option()] = 1,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Talk for a long time; exits with 1 if memory, tasks, threads or descriptors grow, or audio is lost.

    A slope within two standard errors, or below the limit, is no growth.
    """
    if (minutes is None) == (virtual_hours is None):
        raise UsageError("say how long: either --minutes or --virtual-hours.")
    if plot is not None:
        check_matplotlib()
    result: dict[str, Any] = {}
    if virtual_hours is not None:
        run, took_s = endure_virtually(load("scripted", profile), virtual_hours, seed)
        result["took_s"] = round(took_s, 1)
        limit_mb = _VIRTUAL_LIMIT_MB if limit_mb is None else limit_mb
    else:
        settings = load(pipeline, profile)
        run = asyncio.run(endure(settings, open_store(settings), _words(seed), (minutes or 0.0) / 60))
        limit_mb = _REAL_LIMIT_MB if limit_mb is None else limit_mb
    result |= run.result()
    show({**result, "series": series(run.samples)} if as_json else result, as_json=as_json)
    if plot is not None:
        draw(run.samples, plot)
    if wrong := _failures(run, result, limit_mb):
        raise BudgetMissedError(" ".join(wrong))


def _failures(run: Endurance, result: dict[str, Any], limit_mb: float) -> list[str]:
    lost, events = run.losses, run.counts.events
    checks = (
        (lost.dropped_frames > 0, f"{lost.dropped_frames} frames of the microphone were dropped."),
        (events["failed"] > 0, f"{events['failed']} turns failed, the last one thus: {run.counts.error}."),
        (events["deaths"] > 0, f"workers died {events['deaths']} times."),
    )
    return [sentence for failed, sentence in checks if failed] + failures(result, limit_mb)


def _words(seed: int) -> Words:
    """Return the fixtures' words, back to back."""

    def said(*names: str) -> list[Pcm]:
        return [clip.pcm for clip in read_clips([Path("fixtures/clips") / f"{name}.wav" for name in names])]

    return Words(
        Random(seed),  # noqa: S311 - what is said, and no secret
        [clip.pcm for clip in read_clips(questions(None))],
        said("stop", "wait-spain"),
        said("mm-hm", "yeah", "right"),
        (0.3, 1.0),
    )
