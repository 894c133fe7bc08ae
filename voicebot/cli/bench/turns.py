"""`voicebot bench turns`: whole conversations, questions over and over and scenarios."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from voicebot.bench.heard import HeardCheck, as_report, check_heard
from voicebot.bench.turn_taking import over_limit, turn_taking
from voicebot.bench.whole import check, repeated
from voicebot.cli.bench.common import BudgetMissedError, questions, show
from voicebot.cli.common import JsonOption, PipelineOption, ProfileOption, load, open_store, print_json
from voicebot.cli.conversations import Held, Part, hold_parts, read_parts, without_openers
from voicebot.cli.live import LivePrinter
from voicebot.cli.replay import check_met, judge, print_report, print_scenarios, write_recordings
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.load import Settings
from voicebot.daemon import all_scripted, open_stages
from voicebot.events import Observer
from voicebot.latency.resources import Usage
from voicebot.models.store import Store
from voicebot.replay import Conversation, Energies, Scenario, report

_SCENARIOS: Final = Path("fixtures/scenarios")


def turns(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Questions and scenarios; by default fixtures/questions and fixtures/scenarios."),
    ] = None,
    *,
    count: Annotated[
        int, typer.Option("--turns", min=1, help="Speak the questions over and over, as many turns.")
    ] = 42,
    fresh: Annotated[bool, typer.Option("--fresh", help="A new conversation with each question.")] = False,
    duration_s: Annotated[
        float | None, typer.Option(min=1, help="How long scenarios last that say how long they last.")
    ] = None,
    no_openers: Annotated[bool, typer.Option("--no-openers", help="Play replies only, never an opener.")] = False,
    p50_ms: Annotated[float, typer.Option(help="Limit of the median, voice to voice.")] = 450,
    p95_ms: Annotated[float, typer.Option(help="Limit of the 95th percentile, voice to voice.")] = 750,
    asr_p50_ms: Annotated[float, typer.Option(help="Limit of the median of recognition.")] = 250,
    out: Annotated[Path | None, typer.Option(help="Folder for the recordings.")] = None,
    pipeline: PipelineOption = "assistant",
    profile: ProfileOption = "voicebot",
    as_json: JsonOption = False,
) -> None:
    """Hold conversations in real time.

    Exits with 1 when a limit is missed, a question is not answered, or a scenario does not come out as it expects.
    """
    settings = load(pipeline, profile)
    if no_openers:
        settings = without_openers(settings)
    parts = read_parts(files or [*questions(None), _SCENARIOS], fresh=True)
    spoken = repeated([clip for part in parts if not isinstance(part, Scenario) for clip in part], count)
    asked: list[Part] = ([[clip] for clip in spoken] if fresh else [spoken]) if spoken else []
    scenarios = [part for part in parts if isinstance(part, Scenario)]
    observer = LivePrinter(Console(highlight=False, soft_wrap=True, stderr=as_json))
    work = _hold(settings, open_store(settings), asked, scenarios, observer, duration_s)
    held = run_virtual(work) if all_scripted(settings.pipeline) else asyncio.run(work)
    limits = {
        "voice_to_voice_p50_ms": p50_ms,
        "voice_to_voice_p95_ms": p95_ms,
        "asr_p50_ms": asr_p50_ms,
        "recording_differs_ms": 20.0,
        "unanswered": 0.0,
    }
    result = held.result(settings, limits)
    if out is not None:
        write_recordings(out, held.conversations)
    if as_json:
        print_json(result)
    else:
        print_report(result)
        print_scenarios(result["scenarios"])
        show({name: result[name] for name in ("figures", "turn_taking", "heard")}, as_json=False)
    if result["missed"]:
        raise BudgetMissedError(f"over the limit: {', '.join(result['missed'])}.")
    check_met(result["scenarios"])


@dataclass(frozen=True, slots=True)
class _Held:
    """All that was held, and what was found out about it while the workers were there."""

    asked: Held
    acted: Held
    usage: Usage
    heard: list[HeardCheck] | None
    """None where nobody could listen to the recordings: a scripted recogniser."""
    energies: Energies

    @property
    def conversations(self) -> list[Conversation]:
        return self.asked.conversations + self.acted.conversations

    def result(self, settings: Settings, limits: dict[str, float]) -> dict[str, Any]:
        """Return the contract's object of all conversations, the figures beside it, and which are over a limit."""
        used: dict[str, Any] = {"rss_mb": self.usage.memory_mb, "cpu_seconds": self.usage.cpu_s}
        used["energies"] = self.energies.told
        whole = report(settings, self.conversations, **used)
        found: dict[str, Any] = {"figures": {}, "limits": {}, "missed": []}
        if self.asked.conversations:
            found = check(report(settings, self.asked.conversations, **used), self.asked.conversations, limits)
        timed = not all_scripted(settings.pipeline)
        taken = turn_taking(self.conversations) | {"wasted_cpu_share": whole["summary"]["wasted_cpu_share"]}
        heard = None if self.heard is None else as_report(self.heard)
        return {
            **whole,
            **found,
            "missed": found["missed"] + (over_limit(taken | (heard or {})) if timed else []),
            "turn_taking": taken,
            "heard": heard,
            "scenarios": judge(self.acted.performances, timed=timed),
        }


async def _hold(
    settings: Settings,
    store: Store,
    asked: Sequence[Part],
    scenarios: Sequence[Scenario],
    observer: Observer,
    duration_s: float | None,
) -> _Held:
    clock = LoopClock()
    usage = Usage()
    energies = Energies(observer)
    async with open_stages(settings, store, clock, energies) as stages:
        conversed = await hold_parts(settings, stages, asked, clock, observer)
        acted = await hold_parts(settings, stages, scenarios, clock, observer, duration_s)
        usage.measure()
        listened = None
        if settings.pipeline.asr.engine != "scripted":
            talks = conversed.conversations + acted.conversations
            listened = [one for talk in talks for one in await check_heard(talk, stages.asr)]
    return _Held(conversed, acted, usage, listened, energies)
