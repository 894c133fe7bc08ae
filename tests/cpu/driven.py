"""A governor over a tree of some box, and a conversation that it is told of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from tests.cpu.scripted_kernel import ScriptedKernel
from voicebot.config.box import PowerSettings
from voicebot.config.pipeline import PipelineSettings
from voicebot.cpu.governor import Governor, open_governor
from voicebot.cpu.scheduling import Scheduler
from voicebot.events import (
    ClauseSynthesised,
    Event,
    ReplyAudible,
    ReplyBegun,
    ReplySynthesised,
    StateChanged,
    Transcribed,
    TurnCommitted,
    TurnEnded,
    ignore,
)

SESSION: Final = "talk"


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 100.0

    def now_s(self) -> float:
        return self.s

    async def sleep_s(self, duration_s: float) -> None:
        self.s += duration_s


def state(name: str, session: str = SESSION) -> StateChanged:
    return StateChanged(session, 0, name)


def ended(session: str = SESSION, turn: int = 1) -> TurnEnded:
    return TurnEnded(session, turn, 1, "user", "reply", "heard", "slm", False, 0, {}, {}, (), None)


CONVERSATION: Final[Sequence[tuple[float, Event]]] = (
    (0.0, state("listening")),
    (2.0, state("pending")),
    (2.1, Transcribed(SESSION, 1, 1, "what is the capital of France")),
    (2.15, state("thinking")),
    (2.16, TurnCommitted(SESSION, 1, 1, 0)),
    (2.2, ReplyBegun(SESSION, 1)),
    (2.4, ClauseSynthesised(SESSION, 1, "Paris is it,", 900.0)),
    (2.45, ReplyAudible(SESSION, 1, 0)),
    (2.45, state("speaking")),
    (3.0, state("overlap")),
    (3.1, state("paused")),
    (3.4, state("speaking")),
    (3.6, ClauseSynthesised(SESSION, 1, "as far as I know.", 1200.0)),
    (3.6, ReplySynthesised(SESSION, 1)),
    (5.0, ended()),
    (5.0, state("idle")),
)
"""The moments in seconds, and what happens."""


async def open_over(root: Path, clock: Hands, observer: Any = None, **power: Any) -> Governor:
    """Return a governor of a tree; its journal and its status are beside the tree."""
    seen: list[Event] = []
    governor = await open_governor(
        PowerSettings(**power),
        PipelineSettings(),
        clock,
        observer or seen.append,
        root=root,
        journal=root.parent / "run/cpu.json",
        status=root.parent / "run/status.json",
        scheduler=Scheduler(ScriptedKernel()),
    )
    assert governor is not None
    return governor


async def converse(governor: Governor, clock: Hands, after: Callable[[Event], None] = ignore) -> None:
    """Hold the conversation, and let the hold times of its end pass."""
    begin_s = clock.s
    for at_s, event in CONVERSATION:
        clock.s = begin_s + at_s
        governor.observe(event)
        await governor.step()
        after(event)
    for _ in range(5):
        clock.s += 2.0
        await governor.step()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the thread that writes files sets no asyncio.Event
            await asyncio.sleep(0.001)
