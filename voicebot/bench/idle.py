"""What a box costs that nobody speaks to: a quiet room's noise at the microphone, all models loaded."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from voicebot.audio import FULL_SCALE
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import LoopClock
from voicebot.config.load import Settings
from voicebot.daemon import open_stages
from voicebot.events import Event, TurnDiscarded, TurnEnded, ignore
from voicebot.latency.resources import Usage
from voicebot.models.store import Store
from voicebot.pipeline.session import Session

_SETTLE_S: Final = 3.0


async def measure_idle(settings: Settings, store: Store, seconds: float, noise_dbfs: float) -> dict[str, Any]:
    """Return processor time in percent of one core, memory (PSS), and how many turns the noise opened."""
    clock = LoopClock()
    port = ReplayPort(clock, noise_rms=FULL_SCALE * 10 ** (noise_dbfs / 20))
    turns = 0

    def observe(event: Event) -> None:
        nonlocal turns
        turns += isinstance(event, TurnEnded | TurnDiscarded)

    async with open_stages(settings, store, clock, ignore) as stages, port, asyncio.TaskGroup() as group:
        group.create_task(Session("idle", port, stages, settings.pipeline, observe).run())
        await clock.sleep_s(_SETTLE_S)
        usage = Usage()
        await clock.sleep_s(seconds)
        usage.measure()
        port.end()
    return {
        "seconds": seconds,
        "noise_dbfs": noise_dbfs,
        "cpu_percent_of_one_core": round(100 * usage.cpu_s / seconds, 2),
        "pss_mb": round(usage.memory_mb, 1),
        "turns_opened": turns,
    }
