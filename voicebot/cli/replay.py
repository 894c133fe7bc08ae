"""`voicebot replay`: speak sound files and scenarios to the assistant and report what happened."""

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

from voicebot.audio_io.wav import write_wav
from voicebot.bench.expectations import missed
from voicebot.bench.turn_taking import word_error_rate
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.cli.conversations import Held, Part, hold_parts, read_parts, without_openers
from voicebot.cli.live import LivePrinter
from voicebot.cli.recordings import check_same, feed_again, print_recordings, recordings_among, sounds_of, tell_alone
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.load import Settings
from voicebot.daemon import all_scripted, open_stages
from voicebot.errors import AudioFileError, VoicebotError
from voicebot.events import Observer, ignore
from voicebot.latency.percentiles import percentile
from voicebot.latency.resources import Usage
from voicebot.models.store import Store
from voicebot.replay import Conversation, Energies, Performance, report
from voicebot.replay.recorded import Recorded


class ExpectationsMissedError(VoicebotError):
    """A scenario did not come out as it expects."""


def replay(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Sound files in the order to be spoken, scenarios (.toml), recordings (.jsonl, .zip), or folders."
        ),
    ],
    *,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Take as long as a conversation takes; the default with real models.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin a new conversation with each file.")] = False,
    duration_s: Annotated[
        float | None, typer.Option(min=1, help="How long scenarios last that say how long they last.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest reply.")] = None,
    no_openers: Annotated[bool, typer.Option("--no-openers", help="Play the reply only, never an opener.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for what one would have heard: user left, reply right.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Speak files to the assistant in real time, and report every turn.

    Sound files make one conversation; each scenario is one by itself, and so is the sound of each session in a
    recording, whose decisions are asked of the turn table again. Exits with 1 when a scenario does not come out as it
    expects, or the table decides otherwise than it did.
    """
    settings = load(pipeline, profile)
    if no_openers:
        settings = without_openers(settings)
    if max_tokens is not None:
        slm = settings.pipeline.slm.model_copy(update={"max_tokens": max_tokens})
        settings = settings.with_pipeline(settings.pipeline.model_copy(update={"slm": slm}))
    recordings, others = recordings_among(files)
    checked = feed_again(recordings)
    parts: list[Part | Recorded] = [*sounds_of(recordings, settings.pipeline.hearing)]
    if others:
        parts = [*read_parts(others, fresh=fresh), *parts]
    if not parts:
        tell_alone(checked, as_json=as_json)
        return
    if out is not None:
        _check_writable(out)
    observer = ignore if as_json else LivePrinter(Console(highlight=False, soft_wrap=True))
    scripted = all_scripted(settings.pipeline)
    work = replay_parts(settings, open_store(settings), parts, observer, duration_s)
    held, result = run_virtual(work) if scripted and not realtime else asyncio.run(work)
    scenarios = judge(held.performances, timed=not scripted)
    if out is not None:
        write_recordings(out, held.conversations)
    if as_json:
        beside = {"scenarios": scenarios, "recordings": checked}
        print_json({**result, **{name: told for name, told in beside.items() if told}})
    else:
        print_report(result)
        print_scenarios(scenarios)
        print_recordings(checked)
    check_met(scenarios)
    check_same(checked)


async def replay_parts(
    settings: Settings,
    store: Store,
    parts: Sequence[Part | Recorded],
    observer: Observer,
    duration_s: float | None = None,
) -> tuple[Held, dict[str, Any]]:
    """Hold the conversations on the same workers; return them and the report."""
    clock = LoopClock()
    usage = Usage()
    energies = Energies(observer)
    async with open_stages(settings, store, clock, energies) as stages:
        held = await hold_parts(settings, stages, parts, clock, observer, duration_s)
        usage.measure()
    idle_w = stages.processor().get("energy", {}).get("idle_w")
    used = {"rss_mb": usage.memory_mb, "cpu_seconds": usage.cpu_s, "idle_w": idle_w}
    return held, report(settings, held.conversations, **used, energies=energies.told)


def judge(performances: Sequence[Performance], *, timed: bool) -> list[dict[str, Any]]:
    """Return the contract's entry for each scenario. `timed`: real engines ran in real time."""
    judged = [(performance, missed(performance, timed=timed)) for performance in performances]
    return [
        {
            "file": str(performance.scenario.file),
            "session": performance.conversation.name,
            "met": not found,
            "missed": found,
            "wer": word_error_rate([performance.conversation]),
        }
        for performance, found in judged
    ]


def print_scenarios(scenarios: Sequence[dict[str, Any]]) -> None:
    """Print of each scenario whether it came out as expected, and what did not."""
    for scenario in scenarios:
        typer.echo(f"{'met   ' if scenario['met'] else 'missed'} {scenario['file']}")
        for sentence in scenario["missed"]:
            typer.echo(f"       {sentence}")


def check_met(scenarios: Sequence[dict[str, Any]]) -> None:
    """Raise ExpectationsMissedError unless every scenario came out as expected."""
    names = [Path(scenario["file"]).stem for scenario in scenarios if not scenario["met"]]
    if names:
        raise ExpectationsMissedError(
            f"{len(names)} of {len(scenarios)} scenarios did not come out as expected: {', '.join(names)}."
        )


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
        f"{summary['rss_mb']:.0f} MB and {summary['cpu_seconds']:.1f} s of processor time in all processes"
        + ("" if summary["idle_w"] is None else f", {summary['idle_w']:.1f} W while nobody spoke"),
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


def write_recordings(out: Path, conversations: Sequence[Conversation]) -> None:
    """Write what one would have heard in each conversation: user left, reply right. Raises AudioFileError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioFileError(f"{out}: the folder can't be made ({error.strerror}).") from error
    for conversation in conversations:
        write_wav(out / f"{conversation.name}.wav", *conversation.port.recording())
