"""Makes room in a full conversation while nobody speaks.

When a turn has ended and it has been quiet for a moment, the oldest exchanges are summarised in the background. The
first sign of speech cancels that, nothing is changed, and it is tried again in the next quiet moment. A model that
fails is not asked again before another turn has ended. If it has become late, the oldest exchanges are left out at
once, with a mark.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

from voicebot.assistant.compaction import SUMMARY_BEGINS, Compaction, estimate, plan, usable_summary
from voicebot.assistant.history import History
from voicebot.audio import samples_from_ms
from voicebot.config.history import HistorySettings
from voicebot.config.pipeline import SlmSettings
from voicebot.errors import VoicebotError
from voicebot.latency.work import Work, WorkLedger, charged_to
from voicebot.pipeline.stages import Slm

_log = logging.getLogger(__name__)


class Compactor:
    """One session's. `compacted` is called when the model is shown less than before."""

    def __init__(
        self,
        session: str,
        slm: Slm,
        history: History,
        settings: HistorySettings,
        slm_settings: SlmSettings,
        ledger: WorkLedger,
        compacted: Callable[[], None],
    ) -> None:
        self._session = session
        self._slm = slm
        self._history = history
        self._settings = settings
        self._context_tokens = slm_settings.context_tokens
        self._reply_tokens = slm_settings.max_tokens
        self._idle_samples = samples_from_ms(settings.idle_ms)
        self._ledger = ledger
        self._compacted = compacted
        self._due: Compaction | None = None
        self._quiet_from = 0
        self._task: asyncio.Task[None] | None = None

    def turn_ended(self) -> None:
        """See whether there is still room; if there is hardly any, make some at once, without the model."""
        self.cancel()
        if not self._settings.enabled:
            return
        size_of = estimate(self._settings)
        self._due = plan(self._history, size_of, self._context_tokens, self._reply_tokens, self._settings)
        if self._due is not None and self._due.late:
            _log.info("%s: left out %d exchanges: the context is full", self._session, len(self._due.exchanges))
            self._due.apply(self._history, None)
            self._due = None

    def look(self, group: asyncio.TaskGroup, now_sample: int, *, quiet: bool) -> None:
        """Begin when it has been quiet for long enough, and give up when it is not. To be called at every frame."""
        if not quiet:
            self._quiet_from = now_sample
            self.cancel()
        elif self._due is not None and self._task is None and now_sample - self._quiet_from >= self._idle_samples:
            self._task = group.create_task(self._compact(self._due), name=f"{self._session} compaction")

    def cancel(self) -> None:
        """Give up the work that is under way; nothing has changed."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _compact(self, due: Compaction) -> None:
        work = Work(self._ledger)
        charged_to.set(work)
        try:
            summary = usable_summary(await self._summarise(due), due, self._settings)
        except VoicebotError as error:
            _log.info("%s: no summary: %s", self._session, error)
        else:
            if summary is None:
                work.drop()
            if due.apply(self._history, summary):
                self._compacted()
        # A cancelled task does not come here: what was due then still is.
        self._due = self._task = None

    async def _summarise(self, due: Compaction) -> str:
        session, most = f"{self._session}/summary", self._settings.summary_tokens
        async with aclosing(self._slm.generate(due.request(), most, SUMMARY_BEGINS, session=session)) as stream:
            return "".join([piece async for piece in stream])
