"""`voicebot ask`: one question in text, one answer in text."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Annotated, Final

import typer

from voicebot.assistant.history import History
from voicebot.cli.by_daemon import AloneOption, chosen, daemon_to_prompt, prompt, refuse_session
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.cli.control import SessionOption
from voicebot.clock import LoopClock
from voicebot.config.load import Settings
from voicebot.config.tiers import FIRST_TIER, kind_of
from voicebot.daemon import open_slm, open_tier, workers
from voicebot.engines.protocols import BrokenCall, ReplyPart, Tool, ToolCall
from voicebot.engines.tools import parse_tools
from voicebot.errors import UsageError
from voicebot.events import ignore
from voicebot.models.store import Store
from voicebot.workers.stages import WorkerSlm

_PATIENCE_MS: Final = 30_000
"""An endpoint that was idle may have to load its model first."""


def ask(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="What to ask.")],
    *,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest reply.")] = None,
    tier: Annotated[
        str | None, typer.Option(metavar="NAME", help="The language model to ask; default: as the pipeline chooses.")
    ] = None,
    tools: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON list of tools that the reply may call; none is run.")
    ] = None,
    must_call: Annotated[bool, typer.Option("--must-call", help="The reply has to be calls of --tools.")] = False,
    session: SessionOption = None,
    alone: AloneOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask the language model: without any audio, or the daemon when one runs, which answers aloud as well."""
    own = alone or must_call or chosen(context, "pipeline", "profile", "max_tokens", "tier", "tools")
    daemon = None if own else daemon_to_prompt()
    if daemon is not None:
        turn = prompt(daemon, "ask", text, session)
        if as_json:
            print_json({"reply": turn["reply"], "source": turn["source"]})
        else:
            typer.echo(turn["reply"])
        return
    refuse_session(session)
    settings = load(pipeline, profile)
    if not text.strip():
        raise UsageError("there is nothing to ask; give the question as an argument.")
    if tools is not None:
        known = _load_tools(tools)
        parts = asyncio.run(
            _ask_with_tools(settings, open_store(settings), text.strip(), max_tokens, tier, known, must_call=must_call)
        )
        _print_parts(parts, as_json=as_json)
        return
    if must_call:
        raise UsageError("--must-call needs --tools FILE: there is nothing to call.")
    reply = asyncio.run(_ask(settings, open_store(settings), text.strip(), max_tokens, tier))
    if as_json:
        print_json({"reply": reply, "source": "slm"})
    else:
        typer.echo(reply)


async def _ask(settings: Settings, store: Store, text: str, max_tokens: int | None, tier_name: str | None) -> str:
    pipeline, clock = settings.pipeline, LoopClock()
    messages = History(pipeline.slm.system_prompt).messages(text)
    tier = pipeline.tier(tier_name or FIRST_TIER)
    most = max_tokens or (pipeline.slm if tier is None else pipeline.slm_of(tier)).max_tokens
    if tier is not None:
        tier = tier.model_copy(update={"first_token_ms": _PATIENCE_MS})  # nobody else could answer
    if tier_name is None:
        stages = [stage for stage in pipeline.worker_stages if kind_of(stage) == "slm"]
    else:
        stages = ["slm" if tier is None else f"slm-{tier_name}"]  # a remote tier's worker there is not
    async with AsyncExitStack() as opened:
        running = await opened.enter_async_context(workers(settings, store, clock, ignore, stages))
        chosen = open_slm(pipeline, running, clock) if tier_name is None else open_tier(pipeline, tier, running)
        model = await opened.enter_async_context(chosen)
        stream = await opened.enter_async_context(aclosing(model.pieces(messages, most)))
        return "".join([piece.text async for piece in stream]).strip()


def _load_tools(file: Path) -> tuple[Tool, ...]:
    try:
        tools = parse_tools(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: can't be read ({error}); name a JSON file with a list of tools.") from error
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error
    if not tools:
        raise UsageError(f"{file}: there is no tool in the list; leave out --tools.")
    return tools


async def _ask_with_tools(
    settings: Settings,
    store: Store,
    text: str,
    max_tokens: int | None,
    tier_name: str | None,
    tools: tuple[Tool, ...],
    *,
    must_call: bool,
) -> list[ReplyPart]:
    pipeline = settings.pipeline
    tier = pipeline.tier(tier_name or FIRST_TIER)
    if tier is not None and tier.remote:
        raise UsageError(f"the tier {tier.name!r} can't be held to a grammar, which tools need; name a local one.")
    stage = "slm" if tier is None else f"slm-{tier.name}"
    most = max_tokens or (pipeline.slm if tier is None else pipeline.slm_of(tier)).max_tokens
    messages = History(pipeline.slm.system_prompt).messages(text)
    async with (
        workers(settings, store, LoopClock(), ignore, [stage]) as running,
        aclosing(WorkerSlm(running[stage]).parts(messages, most, tools, must_call=must_call)) as stream,
    ):
        return [part async for part in stream]


def _print_parts(parts: list[ReplyPart], *, as_json: bool) -> None:
    reply = "".join(part for part in parts if isinstance(part, str)).strip()
    calls = [dataclasses.asdict(part) for part in parts if isinstance(part, ToolCall)]
    broken = [part.text for part in parts if isinstance(part, BrokenCall)]
    if as_json:
        print_json({"reply": reply, "source": "slm", "calls": calls, "broken_calls": broken})
        return
    for line in ([reply] if reply else []) + [json.dumps(call, ensure_ascii=False) for call in calls]:
        typer.echo(line)
    for raw in broken:
        typer.echo(f"Broken call: {raw}", err=True)
