"""`voicebot bench soak`: many random requests to the language model, cancelled at random."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from voicebot.cli.bench.common import BudgetMissedError, show
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store
from voicebot.workers.process import worker_environment
from voicebot.workers.threads import Threads


def soak(
    *,
    requests: Annotated[int, typer.Option(min=1)] = 1000,
    sessions: Annotated[int, typer.Option(min=1, help="More than the model has slots for.")] = 7,
    seed: Annotated[int, typer.Option()] = 1,
    limit_mb: Annotated[float, typer.Option(help="Growth of memory per 100 requests in the second half.")] = 1.0,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Soak the language model; exits with 1 where an answer is not the one given alone, or anything stays behind."""
    settings = load(pipeline, profile)
    os.environ |= worker_environment()  # OpenMP reads it when the engine's library is loaded
    from voicebot.bench.soak import run  # noqa: PLC0415

    threads = Threads.choose(settings.box.cores, len(os.sched_getaffinity(0)))
    slm = settings.pipeline.slm
    result = run.soak(
        open_store(settings).path(slm.model),
        slm,
        (threads.slm, threads.slm_prefill),
        requests=requests,
        sessions=sessions,
        seed=seed,
    )
    show(result, as_json=as_json)
    if failures := run.failures(result, limit_mb):
        raise BudgetMissedError(" ".join(failures))
