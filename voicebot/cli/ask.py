"""`voicebot ask`: one question in text, one answer in text."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Annotated

import typer

from voicebot.assistant.history import History
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.clock import LoopClock
from voicebot.config.load import Settings
from voicebot.daemon import workers
from voicebot.errors import UsageError
from voicebot.events import ignore
from voicebot.models.store import Store
from voicebot.workers.stages import WorkerSlm


def ask(
    text: Annotated[str, typer.Argument(help="What to ask.")],
    *,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest reply.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the language model, without any audio."""
    settings = load(pipeline, profile)
    if not text.strip():
        raise UsageError("there is nothing to ask; give the question as an argument.")
    reply = asyncio.run(
        _ask(settings, open_store(settings), text.strip(), max_tokens or settings.pipeline.slm.max_tokens)
    )
    if as_json:
        print_json({"reply": reply, "source": "slm"})
    else:
        typer.echo(reply)


async def _ask(settings: Settings, store: Store, text: str, max_tokens: int) -> str:
    history = History(settings.pipeline.slm.system_prompt)
    async with (
        workers(settings, store, LoopClock(), ignore, ("slm",)) as running,
        aclosing(WorkerSlm(running["slm"]).generate(history.messages(text), max_tokens)) as stream,
    ):
        return "".join([piece async for piece in stream]).strip()
