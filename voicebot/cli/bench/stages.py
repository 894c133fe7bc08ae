"""`voicebot bench stages`: each stage alone."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from voicebot.bench.stages import measure_stages
from voicebot.cli.bench.common import ClipsArgument, questions, show
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store
from voicebot.cli.conversations import read_clips


def stages(
    clips: ClipsArgument = None,
    *,
    repeats: Annotated[int, typer.Option(min=1)] = 5,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Time each stage alone."""
    settings = load(pipeline, profile)
    audio = [clip.pcm for clip in read_clips(questions(clips))]
    result = asyncio.run(measure_stages(settings, open_store(settings), audio, repeats))
    show(result, as_json=as_json)
