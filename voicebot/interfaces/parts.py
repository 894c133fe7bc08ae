"""The parts of the daemon that run beside each other, each of which can be begun anew with other settings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from voicebot.config.box import BoxSettings
from voicebot.config.load import Settings

_STOP_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """One of them."""

    name: str
    depends_on: tuple[str, ...]
    """The settings it has to be begun anew for: "box.web", or "pipeline" for all of a pipeline file's."""
    wanted: Callable[[BoxSettings], bool]
    run: Callable[[Settings, asyncio.Event], Awaitable[None]]
    """Until cancelled. It sets the event as soon as it works, or has begun to try for ever."""


class Parts:
    """Owns their tasks, which are of `group`: what one of them raises ends the daemon."""

    def __init__(self, group: asyncio.TaskGroup, settings: Settings) -> None:
        self.settings = settings
        self._group = group
        self._parts: list[Part] = []
        self._running: dict[str, asyncio.Task[None]] = {}

    @property
    def running(self) -> tuple[str, ...]:
        """The names of those that run, in the order of their start."""
        return tuple(self._running)

    async def start(self, part: Part) -> None:
        """Add one, and return when it works; it runs where the settings want it."""
        self._parts.append(part)
        await self._run(part)

    async def begin_anew(self, settings: Settings, changed: frozenset[str]) -> None:
        """Take other settings; those that depend on what has changed are ended, and begun with them."""
        self.settings = settings
        for part in self._parts:
            if any(name == one or name.startswith(f"{one}.") for one in part.depends_on for name in changed):
                await self._end(part.name)
                await self._run(part)

    async def stop(self) -> None:
        """End all of them, the last one first."""
        for name in reversed(self.running):
            await self._end(name)

    async def _run(self, part: Part) -> None:
        if not part.wanted(self.settings.box):
            return
        works = asyncio.Event()
        task = self._group.create_task(_until_cancelled(part, self.settings, works), name=part.name)
        self._running[part.name] = task
        task.add_done_callback(lambda _: works.set())
        await works.wait()

    async def _end(self, name: str) -> None:
        task = self._running.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=_STOP_S)


async def _until_cancelled(part: Part, settings: Settings, works: asyncio.Event) -> None:
    await part.run(settings, works)
