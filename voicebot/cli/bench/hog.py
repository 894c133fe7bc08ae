"""`voicebot bench hog`: voice to voice while other programs keep every core busy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from voicebot.bench.hog import Bench, lost_audio, order_of, over_limit, rights_of
from voicebot.cli.bench.common import BudgetMissedError, ClipsArgument, questions, show
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store
from voicebot.cli.conversations import read_clips

_CONVERSATION: Final = Path("fixtures/conversation")


def hog(
    clips: ClipsArgument = None,
    *,
    pairs: Annotated[int, typer.Option(min=0, help="Runs of each: idle, busy, busy without precedence.")] = 5,
    minutes: Annotated[float, typer.Option(min=0, help="Check for as long that no audio is lost; 0 does not.")] = 0.0,
    user: Annotated[
        str | None, typer.Option(help="Run as this user, with the rights that the unit grants; needs root.")
    ] = None,
    limit: Annotated[float, typer.Option(help="Of the 95th percentile, over that of the idle machine.")] = 1.5,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Keep every core busy with another program; exits with 1 beyond the limit, or when audio is lost."""
    store = open_store(load(pipeline, profile))
    spoken = read_clips(clips or [*questions(None), _CONVERSATION])
    order = order_of(pipeline, profile, [clip.file for clip in spoken])
    bench = Bench(order, rights_of(user), store.root, lambda line: typer.echo(line, err=True))
    result, wrong = {}, []
    if pairs:
        result = bench.pairs(pairs)
        wrong += over_limit(result, limit)
    if minutes:
        result["card"] = bench.card(minutes)
        wrong += lost_audio(result["card"])
    show(result, as_json=as_json)
    if wrong:
        raise BudgetMissedError(f"{'; '.join(wrong)}.")
