"""`voicebot transcribe`: what was said in sound files."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from voicebot.audio import SAMPLE_RATE_HZ, Pcm
from voicebot.audio_io.wav import read_wav
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.clock import LoopClock
from voicebot.config.load import Settings
from voicebot.daemon import choose_asr, workers
from voicebot.engines.silero import SileroDetector
from voicebot.events import ignore
from voicebot.models.store import Store
from voicebot.pipeline.recognize import holds_speech, pieces
from voicebot.pipeline.stages import Asr


def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Sound files.")],
    *,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Print what was said in each file. Long files are cut at 28 s, at the quietest moment near it."""
    settings = load(pipeline, profile)
    clips = [(file, read_wav(file)) for file in files]
    found = asyncio.run(transcribe_clips(settings, open_store(settings), clips))
    if as_json:
        print_json({"files": found})
    else:
        for entry in found:
            typer.echo(f"{entry['file']}: {entry['text']}" if len(found) > 1 else entry["text"])


async def transcribe_clips(settings: Settings, store: Store, clips: list[tuple[Path, Pcm]]) -> list[dict[str, Any]]:
    """Return the contract's entry for each clip."""
    async with workers(settings, store, LoopClock(), ignore, ("asr",)) as running:
        asr = choose_asr(settings.pipeline, running)
        threshold = settings.pipeline.endpoint.speech_probability
        return [await _transcribe(asr, threshold, file, pcm) for file, pcm in clips]


async def _transcribe(asr: Asr, threshold: float, file: Path, pcm: Pcm) -> dict[str, Any]:
    spoken = [part for part in pieces(pcm) if holds_speech(part, SileroDetector(), threshold)]
    began_s = time.perf_counter()
    parts = [await asr.transcribe(part) for part in spoken]
    return {
        "file": str(file),
        "text": " ".join(part.text for part in parts if part.text),
        "audio_s": round(len(pcm) / SAMPLE_RATE_HZ, 3),
        "asr_ms": round((time.perf_counter() - began_s) * 1000, 1),
        "window_s": max((part.window_s for part in parts), default=0.0),
        "fallback": any(part.fallback for part in parts),
    }
