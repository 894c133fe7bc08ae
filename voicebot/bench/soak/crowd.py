"""Lets sessions ask an engine at random, cancels some of it, and keeps what was answered to the rest."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from voicebot.bench.soak.alone import Told, told_of
from voicebot.bench.soak.cancels import Plan, carry_out, plan
from voicebot.bench.soak.inside import Inside
from voicebot.bench.soak.talker import Talker
from voicebot.engines.llama.engine import LlamaEngine
from voicebot.engines.llama.job import Job
from voicebot.engines.protocols import Answer, Piece, SlmRequest
from voicebot.errors import CancelledWorkError
from voicebot.workers.flags import REQUEST_FLAGS, CancelFlag, CancelFlags

_ASKS: Final = 0.3
"""How likely somebody asks before a step."""
_MOST_UNDER_WAY: Final = 12


@dataclass(slots=True)
class Asked:
    """A request that has not ended."""

    talker: Talker
    request: SlmRequest
    flag: CancelFlag
    answer: Answer
    job: Job | None
    plan: Plan | None
    steps: int = 0
    thread: threading.Timer | None = None
    flagged_steps: int = 0
    """How many steps began after its flag was raised."""


class Crowd:
    """Sessions and their engine, which is stepped by whoever calls."""

    def __init__(self, engine: LlamaEngine, talkers: Sequence[Talker], flags: CancelFlags, random: Random) -> None:
        self.told: list[Told] = []
        """Those that were answered completely, of conversations that fit into the context."""
        self.asked: Counter[str] = Counter()
        self.cancelled: Counter[str] = Counter()
        self.errors: list[str] = []
        """What ended in another way than by an answer or a cancel, or too late after a cancel."""
        self.steps = 0
        self._engine = engine
        self._inside = Inside(engine)
        self._talkers = talkers
        self._flags = flags
        self._free = list(range(REQUEST_FLAGS))
        self._random = random
        self._under_way: list[Asked] = []

    def run(self, requests: int) -> None:
        """Ask so many requests, and let all of them end."""
        left = requests
        while left or self._under_way:
            ready = [talker for talker in self._talkers if not talker.waits]
            crowded = len(self._under_way) >= _MOST_UNDER_WAY
            if left and ready and not crowded and (not self._under_way or self._random.random() < _ASKS):
                self._ask(self._random.choice(ready))
                left -= 1
            else:
                self._step()

    def _ask(self, talker: Talker) -> None:
        request = talker.ask()
        flag = self._flags[self._free.pop()]
        answer = self._engine.submit(request, flag)
        self.asked[request.op] += 1
        self._under_way.append(Asked(talker, request, flag, answer, self._inside.job(answer), plan(self._random)))

    def _step(self) -> None:
        for asked in self._under_way:
            if asked.plan is not None and asked.steps == asked.plan.after_steps:
                asked.thread = carry_out(asked.plan, asked.flag, self._flags)
            asked.steps += 1
            asked.flagged_steps += asked.flag.requested()
        self._engine.step()
        self.steps += 1
        for asked in self._ended():
            self._under_way.remove(asked)
            self._take(asked)

    def _ended(self) -> Iterator[Asked]:
        for asked in list(self._under_way):
            if asked.answer.ended:
                yield asked
            elif asked.flagged_steps:
                self.errors.append(f"{asked.request.op} went on for a step after it was cancelled")

    def _take(self, asked: Asked) -> None:
        if asked.thread is not None:
            asked.thread.join()
        asked.flag.clear()
        self._free.append(asked.flag.index)
        error = asked.answer.error
        if asked.request.op == "generate":
            asked.talker.hear("".join(item.text for item in asked.answer.items if isinstance(item, Piece)))
        if isinstance(error, CancelledWorkError) and asked.plan is not None:
            self.cancelled[asked.plan.way] += 1
        elif error is not None or asked.job is None:
            self.errors.append(f"{asked.request.op} of {asked.talker.session}: {error}")
        elif asked.talker.kind != "overflowing":
            self.told.append(told_of(asked.request, asked.job, asked.answer))
