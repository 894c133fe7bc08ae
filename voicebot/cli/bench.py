"""`voicebot bench`: measure each stage alone and the whole, and hold the figures against their limits."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from voicebot.audio_io.wav import read_wav, write_wav
from voicebot.bench import asr as recognition
from voicebot.bench.idle import measure_idle
from voicebot.bench.kills import measure_kills
from voicebot.bench.stages import default_clips, measure_stages
from voicebot.bench.virtual import measure_virtual
from voicebot.bench.whole import check, repeated
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.cli.live import LivePrinter
from voicebot.cli.replay import print_report, read_clips, replay_clips
from voicebot.cli.transcribe import transcribe_clips
from voicebot.config.load import Settings
from voicebot.errors import UsageError, VoicebotError
from voicebot.events import ignore

app = typer.Typer()

_CLIPS = Annotated[list[Path] | None, typer.Argument(help="Questions to speak; by default fixtures/questions.")]
_ERRORS_SHOWN: Final = 10


_QUICK_TURNS: Final = 14


class BudgetMissedError(VoicebotError):
    """A figure is beyond its limit."""


@app.callback(invoke_without_command=True)
def both(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """Measure this box: each stage alone and the whole, or one thing by its command. Let nothing else run meanwhile."""
    if context.invoked_subcommand is not None:
        return
    settings = load("assistant", "voicebot")
    store = open_store(settings)
    clips = read_clips(_given(None))
    alone = asyncio.run(measure_stages(settings, store, [clip.pcm for clip in clips], 3))
    observer = LivePrinter(Console(highlight=False, soft_wrap=True, stderr=as_json))
    spoken = repeated(clips, _QUICK_TURNS)
    _, whole = asyncio.run(replay_clips(settings, store, [spoken], observer))
    if as_json:
        print_json({"stages": alone, "whole": whole})
    else:
        print_report(whole)
        _show(alone, as_json=False)


@app.command("stages")
def stages(
    clips: _CLIPS = None,
    *,
    repeats: Annotated[int, typer.Option(min=1)] = 5,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Time each stage alone."""
    settings = load(pipeline, profile)
    audio = [clip.pcm for clip in read_clips(_given(clips))]
    result = asyncio.run(measure_stages(settings, open_store(settings), audio, repeats))
    _show(result, as_json=as_json)


@app.command("turns")
def turns(
    clips: _CLIPS = None,
    *,
    count: Annotated[int, typer.Option("--turns", min=1, help="Speak the clips over and over, as many turns.")] = 42,
    fresh: Annotated[bool, typer.Option("--fresh", help="A new conversation with each clip.")] = False,
    p50_ms: Annotated[float, typer.Option(help="Limit of the median, voice to voice.")] = 900,
    p95_ms: Annotated[float, typer.Option(help="Limit of the 95th percentile, voice to voice.")] = 1500,
    asr_p50_ms: Annotated[float, typer.Option(help="Limit of the median of recognition.")] = 250,
    out: Annotated[Path | None, typer.Option(help="Folder for the recordings.")] = None,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Hold conversations in real time; exits with 1 when a limit is missed or a turn is not answered."""
    settings = load(pipeline, profile)
    spoken = repeated(read_clips(_given(clips)), count)
    console = Console(highlight=False, soft_wrap=True, stderr=as_json)
    held, result = asyncio.run(
        replay_clips(
            settings, open_store(settings), [[clip] for clip in spoken] if fresh else [spoken], LivePrinter(console)
        )
    )
    limits = {
        "voice_to_voice_p50_ms": p50_ms,
        "voice_to_voice_p95_ms": p95_ms,
        "asr_p50_ms": asr_p50_ms,
        "recording_differs_ms": 20.0,
        "unanswered": 0.0,
    }
    checked = check(result, held, limits)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for conversation in held:
            write_wav(out / f"{conversation.session.name}.wav", *conversation.port.recording())
    if as_json:
        print_json({**result, **checked})
    else:
        print_report(result)
        _show(checked["figures"], as_json=False)
    if checked["missed"]:
        raise BudgetMissedError(f"over the limit: {', '.join(checked['missed'])}.")


@app.command("asr")
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


@app.command("idle")
def idle(
    *,
    minutes: Annotated[float, typer.Option(min=0.05)] = 5.0,
    noise_dbfs: Annotated[float, typer.Option(max=0, help="Level of the noise at the microphone.")] = -70.0,
    limit_percent: Annotated[float, typer.Option(help="Of one core.")] = 4.0,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Measure what the box costs while nobody speaks; exits with 1 beyond the limit."""
    settings = load(pipeline, profile)
    result = asyncio.run(measure_idle(settings, open_store(settings), minutes * 60, noise_dbfs))
    _show(result, as_json=as_json)
    if result["cpu_percent_of_one_core"] > limit_percent or result["turns_opened"]:
        raise BudgetMissedError(f"an idle box takes more than {limit_percent} % of a core, or noise opened a turn.")


@app.command("virtual")
def virtual(
    *,
    minutes: Annotated[float, typer.Option(min=0.1)] = 10.0,
    limit_s: Annotated[float, typer.Option()] = 2.0,
    as_json: JsonOption = False,
) -> None:
    """Replay a scripted conversation in virtual time; exits with 1 beyond the limit."""
    result = measure_virtual(load("scripted", "voicebot"), minutes)
    _show(result, as_json=as_json)
    if result["took_s"] > limit_s:
        raise BudgetMissedError(f"{minutes} minutes took {result['took_s']} s; the limit is {limit_s} s.")


@app.command("kills")
def kills(
    *,
    times: Annotated[int, typer.Option(min=1, help="Of each worker.")] = 20,
    limit_ms: Annotated[float, typer.Option(help="Until the worker is back.")] = 3000,
    long_question: Annotated[Path, typer.Option(help="A clip that is answered at length.")] = Path(
        "fixtures/clips/long-story.wav"
    ),
    question: Annotated[Path, typer.Option()] = Path("fixtures/questions/spider.wav"),
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Kill every worker during replies; exits with 1 unless each is back in time and the next turn is answered."""
    settings = load(pipeline, profile)
    first, second = read_clips([long_question, question])
    observer = ignore if as_json else LivePrinter(Console(highlight=False, soft_wrap=True))
    result = asyncio.run(measure_kills(settings, open_store(settings), first, second, times, observer))
    _show(result, as_json=as_json)
    slowest = max(times_ms["max"] or 0.0 for times_ms in result["back_ms"].values())
    if slowest > limit_ms or result["orphans"]:
        raise BudgetMissedError(
            f"a worker took {slowest:.0f} ms to be back, or {result['orphans']} processes are left."
        )


def _given(clips: list[Path] | None) -> list[Path]:
    found = clips or [default_clips()]
    if not clips and not found[0].is_dir():
        raise UsageError("there is no fixtures/questions here; name the clips to speak.")
    return found


def _with_window(settings: Settings, floor_s: float) -> Settings:
    asr_settings = settings.pipeline.asr.model_copy(update={"window_floor_s": floor_s})
    return settings.with_pipeline(settings.pipeline.model_copy(update={"asr": asr_settings}))


def _show(result: dict[str, Any], *, as_json: bool, indent: str = "") -> None:
    if as_json:
        print_json(result)
        return
    for name, value in result.items():
        if isinstance(value, dict):
            typer.echo(f"{indent}{name}")
            _show(value, as_json=False, indent=indent + "  ")
        else:
            typer.echo(f"{indent}{name:<24} {value}")
