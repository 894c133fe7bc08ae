"""Whether words that were said over a reply make an utterance, by the language model."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from voicebot.assistant.history import History
from voicebot.errors import VoicebotError
from voicebot.latency.work import Work, WorkLedger, charged_to
from voicebot.pipeline.partials import Partial
from voicebot.pipeline.stages import Slm
from voicebot.pipeline.weigh import unfinished


class Sense:
    """One session's. One question at a time; a model that fails finds no sense in anything."""

    def __init__(self, session: str, slm: Slm, history: History, work: WorkLedger) -> None:
        self._session = session
        self._slm = slm
        self._history = history
        self._work = work
        self._asking: asyncio.Task[None] | None = None

    def ask(self, group: asyncio.TaskGroup, partial: Partial, answer: Callable[[Partial, float], None]) -> None:
        """Call `answer` with the probability that a sentence ends after the words, unless one is being asked for."""
        if self._asking is None or self._asking.done():
            self._asking = group.create_task(self._ask(partial, answer), name=f"{self._session} sense")

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self, partial: Partial, answer: Callable[[Partial, float], None]) -> None:
        charged_to.set(Work(self._work))
        text_end = 0.0
        with contextlib.suppress(VoicebotError):
            messages = self._history.messages(unfinished(partial.said.text))
            text_end = await self._slm.end_probability(messages, session=self._session)
        answer(partial, text_end)
