"""`voicebot bench`: measure each stage alone and the whole, and hold the figures against their limits."""

from __future__ import annotations

import asyncio
from typing import Final

import typer
from rich.console import Console

from voicebot.bench.stages import measure_stages
from voicebot.bench.whole import repeated
from voicebot.cli.bench import (
    asr,
    budget,
    cpu,
    endurance,
    hog,
    idle,
    kills,
    pauses,
    slm,
    slm_peers,
    soak,
    stages,
    turns,
    virtual,
)
from voicebot.cli.bench.common import questions, show
from voicebot.cli.common import JsonOption, load, open_store, print_json
from voicebot.cli.conversations import read_clips
from voicebot.cli.live import LivePrinter
from voicebot.cli.replay import print_report, replay_parts

_QUICK_TURNS: Final = 14

app = typer.Typer()
app.command("stages")(stages.stages)
app.command("turns")(turns.turns)
app.command("pauses")(pauses.pauses)
app.command("asr")(asr.asr)
app.command("cpu")(cpu.cpu)
app.command("idle")(idle.idle)
app.command("budget")(budget.budget)
app.command("hog")(hog.hog)
app.command("virtual")(virtual.virtual)
app.command("kills")(kills.kills)
app.command("soak")(soak.soak)
app.command("endurance")(endurance.endurance)
app.command("slm")(slm.slm)
app.command("slm-peers")(slm_peers.slm_peers)


@app.callback(invoke_without_command=True)
def both(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """Measure this box: each stage alone and the whole, or one thing by its command. Let nothing else run meanwhile."""
    if context.invoked_subcommand is not None:
        return
    settings = load("assistant", "voicebot")
    store = open_store(settings)
    clips = read_clips(questions(None))
    alone = asyncio.run(measure_stages(settings, store, [clip.pcm for clip in clips], 3))
    observer = LivePrinter(Console(highlight=False, soft_wrap=True, stderr=as_json))
    spoken = repeated(clips, _QUICK_TURNS)
    _, whole = asyncio.run(replay_parts(settings, store, [spoken], observer))
    if as_json:
        print_json({"stages": alone, "whole": whole})
    else:
        print_report(whole)
        show(alone, as_json=False)
