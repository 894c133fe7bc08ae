"""`voicebot bench asr`: recognition errors."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from voicebot.audio_io.wav import read_wav
from voicebot.bench import asr as recognition
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.cli.transcribe import transcribe_clips
from voicebot.config.load import Settings

_ERRORS_SHOWN: Final = 10


def asr(
    folders: Annotated[list[Path] | None, typer.Argument(help="Folders with transcripts.tsv.")] = None,
    *,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Count recognition errors with the short window and with the full one, on the same recordings."""
    settings = load(pipeline, profile)
    recordings = [one for folder in folders or [Path("fixtures/human")] for one in recognition.read_corpus(folder)]
    clips = [(one.file, read_wav(one.file)) for one in recordings]
    store = open_store(settings)
    result = {}
    for name, floor_s in (("short", settings.pipeline.asr.window_floor_s), ("full", recognition.FULL_WINDOW_S)):
        entries = asyncio.run(transcribe_clips(_with_window(settings, floor_s), store, clips))
        result[name] = {"window_floor_s": floor_s, **recognition.score(recordings, entries)}
    if as_json:
        print_json(result)
        return
    table = Table("window", "WER", "errors", "words", "ms median", "ms p95", "second looks", box=None)
    for name, scored in result.items():
        times = scored["asr_ms"]
        cells = (scored["wer"], scored["errors"], scored["words"], times["p50"], times["p95"], scored["fallbacks"])
        table.add_row(name, *map(str, cells))
    Console(highlight=False).print(table)
    for wrong in result["short"]["wrong"][:_ERRORS_SHOWN]:
        typer.echo(f"{wrong['errors']} in {wrong['file']}: {wrong['said']!r} was heard as {wrong['heard']!r}")


def _with_window(settings: Settings, floor_s: float) -> Settings:
    asr_settings = settings.pipeline.asr.model_copy(update={"window_floor_s": floor_s})
    return settings.with_pipeline(settings.pipeline.model_copy(update={"asr": asr_settings}))
