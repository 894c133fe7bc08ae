"""Lets the language model take in a conversation while nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib

from voicebot.engines.protocols import Message
from voicebot.errors import VoicebotError
from voicebot.latency.work import Work, WorkLedger, charged_to
from voicebot.pipeline.stages import Slm


class Warming:
    """One session's: at most one prefill at a time, the latest that was asked for. A failure is of no consequence."""

    def __init__(self, session: str, slm: Slm, ledger: WorkLedger) -> None:
        self._session = session
        self._slm = slm
        self._ledger = ledger
        self._task: asyncio.Task[None] | None = None

    def warm(self, group: asyncio.TaskGroup, messages: tuple[Message, ...]) -> None:
        """Begin to take in the conversation instead of the one before."""
        self.cancel()
        self._task = group.create_task(self._prefill(messages), name=f"{self._session} prefill")

    def cancel(self) -> None:
        """Give up the prefill that is under way."""
        if self._task is not None:
            self._task.cancel()

    async def _prefill(self, messages: tuple[Message, ...]) -> None:
        charged_to.set(Work(self._ledger))
        with contextlib.suppress(VoicebotError):
            await self._slm.prefill(messages, session=self._session)
