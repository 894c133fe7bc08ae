"""From nothing to a worker that is ready, with and without the saved system prompt."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from voicebot.bench.slm.report import Limit, Part, Row
from voicebot.clock import LoopClock
from voicebot.config.load import Settings
from voicebot.daemon import workers
from voicebot.errors import EngineError
from voicebot.events import ignore
from voicebot.models.store import Store

_LIMIT_S: Final = 2.0
_PATIENCE_S: Final = 30.0
"""For the worker to save the system prompt once it has nothing else to do."""


def measure(settings: Settings, store: Store, repeats: int) -> Part:
    """Start a worker again and again."""
    return asyncio.run(_measure(settings, store, repeats))


async def _measure(settings: Settings, store: Store, repeats: int) -> Part:
    computed_s: list[float] = []
    saved_s: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept"
        await _start_s(_with_cache(settings, kept), store, kept)  # its pages are in memory for those that follow
        for number in range(repeats):
            computed_s.append(await _start_s(_with_cache(settings, Path(folder) / str(number)), store))
            saved_s.append(await _start_s(_with_cache(settings, kept), store))
    kinds = {"system prompt computed": computed_s, "system prompt saved": saved_s}
    rows: list[Row] = [
        {"start": kind, "runs": len(s), "p50 s": median(s), "max s": max(s)} for kind, s in kinds.items()
    ]
    limits = [Limit(f"start s, {kind}", median(s), at_most=_LIMIT_S) for kind, s in kinds.items()]
    return Part({"cold start": rows}, limits)


def _with_cache(settings: Settings, cache: Path) -> Settings:
    paths = settings.box.paths.model_copy(update={"cache": str(cache)})
    return Settings(
        settings.pipeline_name,
        settings.profile_name,
        settings.pipeline,
        settings.box.model_copy(update={"paths": paths}),
    )


async def _start_s(settings: Settings, store: Store, until_saved: Path | None = None) -> float:
    """Return the seconds until a worker is ready. `until_saved`: its cache, in which the system prompt is waited for.

    Raises EngineError when it does not come.
    """
    began_s = time.perf_counter()
    async with workers(settings, store, LoopClock(), ignore, stages=("slm",)):
        took_s = time.perf_counter() - began_s
        while until_saved is not None and not await asyncio.to_thread(_saved, until_saved):
            if time.perf_counter() - began_s > _PATIENCE_S:
                raise EngineError("the language model's worker does not save its system prompt.")
            await asyncio.sleep(0.05)
    return took_s


def _saved(cache: Path) -> bool:
    return any(cache.rglob("*.state"))
