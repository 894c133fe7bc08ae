"""`voicebot say`: speak a text, through the speaker or into a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from voicebot.assistant.phrases import render
from voicebot.assistant.speakable import speakable
from voicebot.audio import Pcm, ms_from_samples
from voicebot.audio_io.devices import find_device, play_through
from voicebot.audio_io.wav import write_wav
from voicebot.cli.by_daemon import AloneOption, chosen, daemon_to_prompt, prompt, refuse_session
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.cli.control import SessionOption
from voicebot.clock import LoopClock
from voicebot.config.load import Settings
from voicebot.daemon import choose_tts, workers
from voicebot.errors import AudioFileError, UsageError
from voicebot.events import ignore
from voicebot.models.store import Store


def say(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="What to say.")],
    *,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    speaker: Annotated[str | None, typer.Option("--output", help="Speaker, by a part of its name.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a WAV file and play nothing.")] = None,
    session: SessionOption = None,
    alone: AloneOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say a text: by the daemon when one runs, unless something of its own is asked for."""
    if not alone and out is None and speaker is None and not chosen(context, "pipeline", "profile"):
        daemon = daemon_to_prompt()
        if daemon is not None:
            turn = prompt(daemon, "say", text, session)
            if as_json:
                print_json({"text": turn["reply"], "heard": turn["heard"], "interrupted": turn["interrupted"]})
            return
    refuse_session(session)
    settings = load(pipeline, profile)
    spoken = speakable(text)
    if not spoken:
        raise UsageError("there is nothing to say in that text; give some words.")
    if out is not None and not out.parent.is_dir():
        raise AudioFileError(f"{out.parent}: there is no such folder; make it first.")
    device = (settings.box.audio.output if speaker is None else speaker) or None
    if out is None:
        find_device(device, "output")
    pcm = asyncio.run(_render(settings, open_store(settings), spoken))
    if out is not None:
        write_wav(out, pcm)
    else:
        play_through(device, pcm)
    if as_json:
        print_json({"text": spoken, "audio_s": round(ms_from_samples(len(pcm)) / 1000, 3), "file": str(out or "")})


async def _render(settings: Settings, store: Store, text: str) -> Pcm:
    async with workers(settings, store, LoopClock(), ignore, ("tts",)) as running:
        return await render(choose_tts(settings.pipeline, running), text)
