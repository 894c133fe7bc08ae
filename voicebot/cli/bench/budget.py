"""`voicebot bench budget`: whether the latency budget is kept."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from voicebot.bench.budget import Turn, cost_of_ladder, kept, over_limit, with_ladder
from voicebot.bench.whole import repeated
from voicebot.cli.bench.common import BudgetMissedError, ClipsArgument, questions, show
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store
from voicebot.cli.conversations import read_clips
from voicebot.cli.live import LivePrinter
from voicebot.cli.replay import replay_parts
from voicebot.config.load import Settings
from voicebot.models.store import Store
from voicebot.replay import Clip

_CONVERSATION: Final = Path("fixtures/conversation")


def budget(
    clips: ClipsArgument = None,
    *,
    count: Annotated[int, typer.Option("--turns", min=1, help="Speak the clips over and over, as many turns.")] = 100,
    learning: Annotated[int, typer.Option(min=0, help="After as many turns predictions are judged.")] = 50,
    without: Annotated[int, typer.Option(min=0, help="As many turns with the ladder off, to compare.")] = 24,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Hold a conversation that begins to learn its costs anew; exits with 1 beyond the limits."""
    settings = load(pipeline, profile)
    store = open_store(settings)
    spoken = read_clips(clips or [*questions(None), _CONVERSATION])
    total_ms = settings.pipeline.budget.total_ms
    with tempfile.TemporaryDirectory(prefix="voicebot-budget-") as folder:
        turns = _turns(with_ladder(settings, Path(folder) / "on", enabled=True), store, spoken, count)
        others = _turns(with_ladder(settings, Path(folder) / "off", enabled=False), store, spoken, without)
    figures = kept(turns, total_ms, learning)
    result = figures | {"ladder": cost_of_ladder(turns, others), "without": kept(others, total_ms, len(others))}
    show(result, as_json=as_json)
    if wrong := over_limit(figures):
        raise BudgetMissedError(f"the budget is not kept: {'; '.join(wrong)}.")


def _turns(settings: Settings, store: Store, clips: Sequence[Clip], count: int) -> list[Turn]:
    if not count:
        return []
    observer = LivePrinter(Console(highlight=False, soft_wrap=True, stderr=True))
    _, whole = asyncio.run(replay_parts(settings, store, [repeated(clips, count)], observer))
    turns: list[Turn] = whole["turns"]
    return turns
