"""`voicebot bench slm-peers`: the language model's engine against llama-cpp-python's own."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from voicebot.cli.bench.common import BudgetMissedError, show
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store
from voicebot.workers.process import worker_environment
from voicebot.workers.threads import Threads


def slm_peers(
    *,
    pairs: Annotated[int, typer.Option(min=1, help="Runs of each of the two, by prompt and peer.")] = 4,
    tokens: Annotated[int, typer.Option(min=2, help="The longest reply.")] = 40,
    flash: Annotated[bool, typer.Option(help="Let the peers use flash attention, as we do.")] = False,
    least: Annotated[float, typer.Option(help="The least ratio of any prompt.")] = 0.95,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Race llama-cpp-python; exits with 1 unless we are faster in the median and nowhere much slower."""
    settings = load(pipeline, profile)
    os.environ |= worker_environment()  # OpenMP reads it when the engine's library is loaded
    from voicebot.bench import slm_peers as race  # noqa: PLC0415

    threads = Threads.choose(settings.box.cores, len(os.sched_getaffinity(0)))
    slm = settings.pipeline.slm
    model = open_store(settings).path(slm.model)
    result = race.compare_peers(model, slm, (threads.slm, threads.slm_prefill), pairs=pairs, tokens=tokens, flash=flash)
    show(result, as_json=as_json)
    if failures := race.failures(result, least):
        raise BudgetMissedError(" ".join(failures))
