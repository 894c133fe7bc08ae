"""Work of several sizes for each stage, timed as the daemon times it: what a stage costs is fitted to that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import numpy as np

from voicebot.audio import Pcm
from voicebot.clock import Clock
from voicebot.config.pipeline import PipelineSettings
from voicebot.engines.protocols import Message
from voicebot.latency.cost import StageCost
from voicebot.latency.costs import Costs
from voicebot.latency.fits import FitKey
from voicebot.latency.misses import Cause, Spent
from voicebot.pipeline.budgeted import BudgetedAsr, BudgetedSlm, BudgetedTts
from voicebot.workers.stages import WorkerAsr, WorkerSlm, WorkerTts, WorkerTurn
from voicebot.workers.supervisor import Supervisor

_ASKED: Final = (
    "What is the time?",
    "How many legs does a spider have, and how many eyes?",
    "I would like to boil an egg for breakfast, not too hard and not too soft. How long does it take?",
    "Tell me about the moon. I know that it goes around the earth, that it has no air, and that it makes the tides.",
)
_REPLY_TOKENS: Final = (4, 12, 8, 12)
"""Of which the first belongs to the reading. The daemon times the first twelve."""
_CLAUSES: Final = (
    "Okay.",
    "A spider has eight legs.",
    "To boil an egg, put it into a pot of cold water.",
    "The moon goes around the earth once in about four weeks, and it always shows us the same side.",
)
TURN: Final = "turn"
"""A look at the end of a turn, of which the daemon keeps no cost."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One request: seconds of speech, tokens, letters, or one look; and how long it took."""

    stage: str
    units: float
    ghz: float
    seconds: float


class TimedCosts(Costs):
    """Costs that are learnt anew, and every request that they are learnt from."""

    def __init__(
        self,
        clock: Clock,
        keys: Mapping[str, FitKey] | None = None,
        known: Mapping[FitKey, StageCost] | None = None,
        ghz: Callable[[], float] = lambda: 1.0,
    ) -> None:
        """`ghz`: of all stages, now."""
        super().__init__(clock, keys, known, lambda _stage: ghz())
        self.timed: list[Timed] = []
        self._now_ghz = ghz

    def took(self, stage: str, units: float, seconds: float, cause: Cause | None = None) -> Spent:
        """Take note of how long a stage took."""
        if cause is None:
            self.note(stage, units, seconds)
        return super().took(stage, units, seconds, cause)

    def note(self, stage: str, units: float, seconds: float) -> None:
        """Take note of it without learning from it."""
        self.timed.append(Timed(stage, units, self._now_ghz(), seconds))


class StageLoad:
    """Asks the workers that run, one after the other."""

    def __init__(
        self, running: Mapping[str, Supervisor], pipeline: PipelineSettings, clips: Sequence[Pcm], clock: Clock
    ) -> None:
        self._asr = WorkerAsr(running["asr"])
        self._slm = WorkerSlm(running["slm"])
        self._tts = WorkerTts(running["tts"])
        self._turn = WorkerTurn(running[TURN]) if TURN in running else None
        self._system = Message("system", pipeline.slm.system_prompt)
        self._utterances = utterances(clips)
        self._clock = clock

    async def round(self, costs: TimedCosts) -> None:
        """Do work of every size once."""
        await self._hear(costs)
        await self._reply(costs)
        await self._speak(costs)

    async def _hear(self, costs: TimedCosts) -> None:
        asr = BudgetedAsr(self._asr, costs, self._clock)
        for pcm in self._utterances:
            await asr.transcribe(pcm)
            if self._turn is not None:
                began_s = self._clock.now_s()
                await self._turn.judge(pcm)
                costs.note(TURN, 1.0, self._clock.now_s() - began_s)

    async def _reply(self, costs: TimedCosts) -> None:
        slm = BudgetedSlm(self._slm, costs, self._clock)
        for text, tokens in zip(_ASKED, _REPLY_TOKENS, strict=True):
            await slm.prefill((self._system,))  # so that nothing of the question is known from before
            async with aclosing(slm.generate((self._system, Message("user", text)), tokens)) as pieces:
                async for _ in pieces:
                    pass

    async def _speak(self, costs: TimedCosts) -> None:
        tts = BudgetedTts(self._tts, costs, self._clock)
        for clause in _CLAUSES:
            async with aclosing(tts.synthesize(clause, first=True)) as speech:
                async for _ in speech:
                    pass


def utterances(clips: Sequence[Pcm]) -> list[Pcm]:
    """Return utterances of differing lengths: the shortest and the longest clip, and two of two clips each."""
    ordered = sorted(clips, key=len)
    shortest, middle, longest = ordered[0], ordered[len(ordered) // 2], ordered[-1]
    return [shortest, longest, np.concatenate((shortest, longest)), np.concatenate((middle, longest))]
