"""What has been said so far, while it is still being said.

A look recognises the audio from the onset to this moment. Over a reply it tells whether the speech is meant to stop
it; in a turn it lets the language model take in the words before the last one is spoken, and observers read along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from voicebot.audio import Pcm
from voicebot.errors import VoicebotError
from voicebot.events import Observer, PartiallyTranscribed
from voicebot.latency.work import Work, WorkLedger, charged_to
from voicebot.pipeline.recognize import Recognized, recognize
from voicebot.pipeline.stages import Asr
from voicebot.pipeline.weigh import unfinished
from voicebot.turn.wording import Words, words


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


class ReadAlong:
    """Tells of a session's looks what is new in them, in the user's own turn.

    All the words of a look are told, and not only those on which two agree: what is told replaces what was told
    before, so that a wrong word goes by itself, and looks are too far apart to wait for a second one.
    """

    def __init__(self, session: str, publish: Observer) -> None:
        self._session = session
        self._publish = publish
        self._told: tuple[int, Words] = (0, ())
        """The latest turn, and its words."""

    def tell(self, turn: int, partial: Partial) -> None:
        """Tell what a look saw, if it has words, and others than the one before."""
        seen = words(partial.said.text)
        if seen and (turn, seen) != self._told:
            self._told = (turn, seen)
            text = unfinished(partial.said.text)
            self._publish(PartiallyTranscribed(self._session, turn, partial.until_sample, text))
