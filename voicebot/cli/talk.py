"""`voicebot talk`: speak to the assistant through this computer's microphone and speaker."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Annotated

import typer
from rich.console import Console

from voicebot.audio_io.devices import find_device
from voicebot.audio_io.local import LocalPort
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.cli.live import LivePrinter
from voicebot.clock import LoopClock
from voicebot.config.load import Settings
from voicebot.config.wake import WakeSettings
from voicebot.daemon import open_stages
from voicebot.events import Event, Observer, TurnEnded
from voicebot.models.store import Store
from voicebot.pipeline.session import Session


def talk(
    *,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    microphone: Annotated[str | None, typer.Option("--input", help="Microphone, by a part of its name.")] = None,
    speaker: Annotated[str | None, typer.Option("--output", help="Speaker, by a part of its name.")] = None,
    turns: Annotated[int, typer.Option(min=0, help="End after as many turns; 0 goes on until Ctrl-C.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Speak to the assistant; it does not hear itself, so headphones are not needed."""
    settings = load(pipeline, profile)
    store = open_store(settings)
    audio = settings.box.audio
    devices = (
        (audio.input if microphone is None else microphone) or None,
        (audio.output if speaker is None else speaker) or None,
    )
    find_device(devices[0], "input")
    find_device(devices[1], "output")
    console = Console(highlight=False, soft_wrap=True, stderr=as_json)
    ended = asyncio.run(_talk(settings, store, devices, LivePrinter(console), console, turns))
    if as_json:
        print_json({"turns": [{"user": turn.user, "reply": turn.reply, "heard": turn.heard} for turn in ended]})


async def _talk(
    settings: Settings,
    store: Store,
    devices: tuple[str | None, str | None],
    observer: Observer,
    console: Console,
    turns: int,
) -> list[TurnEnded]:
    clock = LoopClock()
    audio = settings.box.audio
    ended: list[TurnEnded] = []
    over = asyncio.Event()

    def observe(event: Event) -> None:
        observer(event)
        if isinstance(event, TurnEnded):
            ended.append(event)
            if turns and len(ended) >= turns:
                over.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with open_stages(settings, store, clock, observe) as stages:
        port = LocalPort(*devices, block_ms=audio.block_ms, lead_ms=audio.lead_ms)
        session = Session("talk", port, stages, settings.pipeline, observe)  # loads a model, while nobody listens yet
        async with port, asyncio.TaskGroup() as group:
            console.print(f"[bold]Listening.[/] {_how_to_begin(settings.pipeline.wake)}; Ctrl-C ends.")
            listen_at_enter(session)
            talking = group.create_task(session.run())
            await over.wait()
            talking.cancel()
    return ended


def listen_at_enter(session: Session) -> None:
    """Take the Enter key for the button of push to talk, where there is a keyboard."""
    if not sys.stdin.isatty():
        return
    loop, keyboard = asyncio.get_running_loop(), sys.stdin.fileno()

    def pressed() -> None:
        if os.read(keyboard, 1024):
            session.listen()
        else:
            loop.remove_reader(keyboard)

    loop.add_reader(keyboard, pressed)


def _how_to_begin(wake: WakeSettings) -> str:
    match wake.mode:
        case "word":
            return f'Say "{wake.word.replace("_", " ")}" or press Enter, and speak'
        case "push":
            return "Press Enter, and speak"
        case _:
            return "Speak"
