"""`voicebot bench pauses`: people who stop to think in the middle of a sentence."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from voicebot.bench.pauses import Attempt, as_report, attempt, paused_clips
from voicebot.bench.word_times import word_boundaries
from voicebot.cli.bench.common import BudgetMissedError, show
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store
from voicebot.cli.conversations import read_clips
from voicebot.cli.live import LivePrinter
from voicebot.cli.replay import write_recordings
from voicebot.clock import LoopClock
from voicebot.config.load import Settings
from voicebot.daemon import open_stages
from voicebot.events import Observer
from voicebot.models.store import Store
from voicebot.replay import Clip


def pauses(
    clips: Annotated[
        list[Path] | None, typer.Argument(help="Clips, or folders of them, to put pauses into; by default people's.")
    ] = None,
    *,
    count: Annotated[int, typer.Option(min=1, help="How many clips with a pause are said.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Of where the pauses are and how long.")] = 1,
    limit_percent: Annotated[float, typer.Option(help="Of the clips may be cut in on.")] = 5.0,
    out: Annotated[Path | None, typer.Option(help="Folder for the recordings.")] = None,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Say clips with a pause of 0.4 to 1.5 s at a word boundary; exits with 1 when too many are cut in on."""
    settings = load(pipeline, profile)
    read = read_clips(clips or [Path("fixtures/human")])
    observer = LivePrinter(Console(highlight=False, soft_wrap=True, stderr=as_json))
    attempts = asyncio.run(_attempts(settings, open_store(settings), read, count, seed, observer))
    if out is not None:
        write_recordings(out, [each.conversation for each in attempts])
    result = as_report(attempts)
    show(result, as_json=as_json)
    if 100 * result["false_cut_in_share"] > limit_percent:
        raise BudgetMissedError(f"{result['false_cut_ins']} of {len(attempts)} clips were cut in on.")


async def _attempts(
    settings: Settings, store: Store, clips: list[Clip], count: int, seed: int, observer: Observer
) -> list[Attempt]:
    clock = LoopClock()
    asr = settings.pipeline.asr
    boundaries = await asyncio.to_thread(
        word_boundaries, store.path(asr.model), asr.language, [clip.pcm for clip in clips]
    )
    async with open_stages(settings, store, clock, observer) as stages:
        made = await paused_clips(stages.asr, clips, boundaries, count, seed)
        return [
            await attempt(paused, f"pause-{number}", settings, stages, clock, observer)
            for number, paused in enumerate(made, 1)
        ]
