"""What has been said so far, while it is still being said.

A look recognises the audio from the onset to this moment. Over a reply it tells whether the speech is meant to stop
it; in a turn it lets the language model take in the words before the last one is spoken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from voicebot.audio import Pcm
from voicebot.errors import VoicebotError
from voicebot.latency.work import Work, WorkLedger, charged_to
from voicebot.pipeline.recognize import Recognized, recognize
from voicebot.pipeline.stages import Asr


@dataclass(frozen=True, slots=True)
class Partial:
    """What was recognised up to a sample."""

    said: Recognized
    until_sample: int


class Partials:
    """At most one look at a time. `report` is called with what each of them saw."""

    def __init__(self, asr: Asr, ledger: WorkLedger, report: Callable[[Partial], None]) -> None:
        self._asr = asr
        self._ledger = ledger
        self._report = report
        self._task: asyncio.Task[None] | None = None
        self.latest = Partial(Recognized("", 0.0), 0)
        """What the latest look saw."""

    @property
    def looking(self) -> bool:
        """Whether a look is under way."""
        return self._task is not None

    def look(self, group: asyncio.TaskGroup, pcm: Pcm, until_sample: int) -> None:
        """Begin a look at the audio, which ends at `until_sample`, unless one is under way."""
        if self._task is None:
            self._task = group.create_task(self._look(pcm, until_sample), name="partial")

    def cancel(self) -> None:
        """Give up the look that is under way; nothing is reported of it."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _look(self, pcm: Pcm, until_sample: int) -> None:
        charged_to.set(Work(self._ledger))
        try:
            said = await recognize(self._asr, pcm, thorough=False)
        except VoicebotError:
            said = Recognized("", 0.0)
        self._task = None
        self.latest = Partial(said, until_sample)
        self._report(self.latest)
