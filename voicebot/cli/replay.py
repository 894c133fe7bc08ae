"""`voicebot replay`: speak sound files to the assistant and report what happened."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from voicebot.audio_io.wav import read_wav, write_wav
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.cli.live import LivePrinter
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.load import Settings
from voicebot.daemon import all_scripted, open_stages
from voicebot.errors import AudioFileError, UsageError
from voicebot.events import Observer, ignore
from voicebot.latency.percentiles import percentile
from voicebot.latency.resources import Usage
from voicebot.models.store import Store
from voicebot.replay import Clip, Conversation, hold, report, speak_in_turn


def replay(
    files: Annotated[list[Path], typer.Argument(help="Sound files, or folders of them, in the order to be spoken.")],
    *,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Take as long as a conversation takes; the default with real models.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin a new conversation with each file.")] = False,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest reply.")] = None,
    no_openers: Annotated[bool, typer.Option("--no-openers", help="Play the reply only, never an opener.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for what one would have heard: user left, reply right.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Speak files to the assistant, one conversation in real time, and report every turn."""
    del no_openers
    settings = load(pipeline, profile)
    if max_tokens is not None:
        slm = settings.pipeline.slm.model_copy(update={"max_tokens": max_tokens})
        settings = settings.with_pipeline(settings.pipeline.model_copy(update={"slm": slm}))
    clips = read_clips(files)
    if out is not None:
        _check_writable(out)
    observer = ignore if as_json else LivePrinter(Console(highlight=False, soft_wrap=True))
    scripted = all_scripted(settings.pipeline)
    store = open_store(settings)
    work = replay_clips(settings, store, [[clip] for clip in clips] if fresh else [clips], observer)
    conversations, result = run_virtual(work) if scripted and not realtime else asyncio.run(work)
    if out is not None:
        _write_recordings(out, conversations)
    if as_json:
        print_json(result)
    else:
        print_report(result)


def read_clips(files: Sequence[Path]) -> list[Clip]:
    """Read all files, folders in the order of their names. Raises AudioFileError or UsageError."""
    paths: list[Path] = []
    for file in files:
        found = sorted(file.glob("*.wav")) if _is_folder(file) else [file]
        if not found:
            raise UsageError(f"{file}: the folder holds no .wav files; name one that does.")
        paths += found
    return [Clip.of(path, read_wav(path)) for path in paths]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, a folder that may not be entered: reading it says so
        return False


async def replay_clips(
    settings: Settings, store: Store, conversations: Sequence[Sequence[Clip]], observer: Observer
) -> tuple[list[Conversation], dict[str, Any]]:
    """Hold the conversations one after the other on the same workers; return them and the report."""
    clock = LoopClock()
    held: list[Conversation] = []
    usage = Usage()
    async with open_stages(settings, store, clock, observer) as stages:
        for number, clips in enumerate(conversations, 1):

            async def script(conversation: Conversation, clips: Sequence[Clip] = clips) -> None:
                await speak_in_turn(conversation, clips, clock)

            held.append(await hold(f"replay-{number}", settings, stages, clock, observer, script))
        usage.measure()
    return held, report(settings, held, rss_mb=usage.memory_mb, cpu_seconds=usage.cpu_s)


def print_report(result: dict[str, Any]) -> None:
    """Print where the time went, from the user's last sound to the first of the reply."""
    summary = result["summary"]
    table = Table("", "median", "p95", "worst", "over budget", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    late = Counter(stage for turn in result["turns"] for stage in turn["over_budget"])
    for stage in ("endpoint", "asr", "slm", "tts"):
        _row(
            table,
            stage,
            [turn["stage_ms"][stage] for turn in result["turns"] if stage in turn["stage_ms"]],
            late[stage],
        )
    spoken = [turn["voice_to_voice_ms"] for turn in result["turns"] if turn["voice_to_voice_ms"] is not None]
    _row(table, "voice to voice", spoken, late["total"])
    console = Console(highlight=False)
    console.print("\n[bold]Latency[/], ms (stages overlap; voice to voice is from your last sound to its first)")
    console.print(table)
    console.print(
        f"{summary['turns']} turns, {summary['false_cut_ins']} false cut-ins, {summary['dropped_frames']} frames lost, "
        f"{summary['rss_mb']:.0f} MB and {summary['cpu_seconds']:.1f} s of processor time in all processes",
        soft_wrap=True,
    )


def _row(table: Table, name: str, values: Sequence[float], late: int) -> None:
    shown = [percentile(values, 0.5), percentile(values, 0.95), max(values, default=None)]
    table.add_row(name, *("-" if value is None else f"{value:.0f}" for value in shown), str(late))


def _check_writable(out: Path) -> None:
    """Refuse before the conversation what could not be written after it."""
    nearest = next(place for place in (out, *out.absolute().parents) if os.path.lexists(place))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise AudioFileError(f"{out}: the recordings can't be written there; name a folder that can be written to.")


def _write_recordings(out: Path, conversations: Sequence[Conversation]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioFileError(f"{out}: the folder can't be made ({error.strerror}).") from error
    for conversation in conversations:
        write_wav(out / f"{conversation.session.name}.wav", *conversation.port.recording())
