"""What the benchmark with busy cores measures, in a process of its own, whose precedence and rights are the service's.

Started as `python -m voicebot.bench.hogged`, with an Order as JSON on standard input; prints what it found as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import psutil

from voicebot.audio_io.local import LocalPort
from voicebot.audio_io.wav import read_wav
from voicebot.bench.card import Card
from voicebot.clock import LoopClock
from voicebot.config.load import Settings, load_settings
from voicebot.daemon import open_stages
from voicebot.errors import VoicebotError
from voicebot.events import Event, TurnEnded, ignore
from voicebot.models.catalogue import load_catalogue
from voicebot.models.store import Store
from voicebot.pipeline.session import Session
from voicebot.pipeline.stages import Stages
from voicebot.replay import Clip, Conversation, hold, speak_in_turn, turns_of

_PAUSE_S: Final = 8.0
"""Between two clips of the card's microphone: a reply has to fit in."""
_CLASSES: Final = {os.SCHED_OTHER: "normal", os.SCHED_RR: "round robin", os.SCHED_FIFO: "first in first out"}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done: clips in turn, or for `card_s` a conversation over a sound card that keeps time."""

    pipeline: str
    profile: str
    scheduling: bool
    clips: tuple[str, ...]
    card_s: float = 0.0


def main() -> int:
    """Do what standard input says; returns the exit code."""
    order = Order(**json.load(sys.stdin))
    try:
        settings = _scheduled(load_settings(order.pipeline, order.profile), enabled=order.scheduling)
        named = settings.box.paths.models
        root = Path(named).expanduser() if named else Store.default_root()
        clips = [Clip.of(Path(file), read_wav(Path(file))) for file in order.clips]
        found = asyncio.run(_measure(order, settings, Store(root, load_catalogue(root)), clips))
    except VoicebotError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    json.dump(found, sys.stdout)
    return 0


async def _measure(order: Order, settings: Settings, store: Store, clips: Sequence[Clip]) -> dict[str, Any]:
    clock = LoopClock()
    async with open_stages(settings, store, clock, ignore) as stages:
        ran_as = precedence_of_all()
        if order.card_s:
            return {"ran_as": ran_as, **await _over_card(settings, stages, clips, order.card_s)}

        async def script(conversation: Conversation) -> None:
            await speak_in_turn(conversation, clips, clock)

        turns = turns_of(await hold("hogged", settings, stages, clock, ignore, script))
    told = ("file", "voice_to_voice_ms", "stage_ms", "ladder")
    return {"ran_as": ran_as, "turns": [{name: turn[name] for name in told} for turn in turns]}


async def _over_card(settings: Settings, stages: Stages, clips: Sequence[Clip], seconds: float) -> dict[str, Any]:
    audio, turns = settings.box.audio, 0

    def observe(event: Event) -> None:
        nonlocal turns
        turns += isinstance(event, TurnEnded)

    card = Card([clip.pcm for clip in clips], _PAUSE_S)
    port = LocalPort(block_ms=audio.block_ms, lead_ms=audio.lead_ms, open_stream=card.open)
    session = Session("hogged", port, stages, settings.pipeline, observe)  # its detector takes a moment to load
    async with port, asyncio.TaskGroup() as group:
        running = group.create_task(session.run())
        await asyncio.sleep(seconds)
        running.cancel()
    return {
        "seconds": seconds,
        "blocks": card.blocks,
        "lost_blocks": card.lost_blocks,
        "latest_block_ms": round(card.latest_ms, 1),
        "dropped_frames": port.dropped_frames,
        "late_blocks": port.late_blocks,
        "turns_held": turns,
    }


def precedence_of_all() -> dict[str, Any]:
    """Return with what precedence this process and its workers run, as the kernel has it."""
    return {
        "uid": os.getuid(),
        "daemon": _precedence(0),
        "workers": [_precedence(child.pid) for child in psutil.Process().children()],
    }


def _precedence(pid: int) -> str:
    kind = _CLASSES.get(os.sched_getscheduler(pid), "other")
    priority, nice = os.sched_getparam(pid).sched_priority, os.getpriority(os.PRIO_PROCESS, pid)
    return f"{kind} {priority}" if priority else f"{kind}, nice {nice}"


def _scheduled(settings: Settings, *, enabled: bool) -> Settings:
    off = {} if enabled else {"enabled": False, "lease": "off"}
    scheduling = settings.box.scheduling.model_copy(update=off)
    return replace(settings, box=settings.box.model_copy(update={"scheduling": scheduling}))


if __name__ == "__main__":
    sys.exit(main())
