"""What all sessions share, and the work that one version of a request causes: asked for together, dropped together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random

from voicebot.cpu.demand import Stage, Work
from voicebot.sim.batcher import Batcher
from voicebot.sim.chip import Chip
from voicebot.sim.costs import NOISE, Models, stage_work
from voicebot.sim.machine import Machine
from voicebot.sim.shape import Shapes
from voicebot.sim.workers import Desk, Request

Action = Callable[[], None]


@dataclass(slots=True)
class Turn:
    """What happened. Times are the machine's, NaN what did not happen."""

    session: str
    number: int
    begin_s: float
    speech_end_s: float = math.nan
    soft_end_s: float = math.nan
    asr_final_s: float = math.nan
    committed_s: float = math.nan
    slm_first_token_s: float = math.nan
    slm_first_clause_s: float = math.nan
    tts_first_audio_s: float = math.nan
    audible_s: float = math.nan
    end_s: float = math.nan
    underruns: int = 0
    gap_s: float = 0.0

    @property
    def voice_to_voice_s(self) -> float:
        """From the last voiced sample to the first audible one of the reply."""
        return self.audible_s - self.speech_end_s


@dataclass(frozen=True, slots=True)
class Span:
    """When a request of a stage was under way, waiting for its worker included."""

    session: str
    stage: Stage
    units: float
    begin_s: float
    end_s: float


@dataclass(slots=True)
class Service:
    """The workers, and what is noted."""

    machine: Machine
    chip: Chip
    models: Models
    asr: Desk
    tts: Desk
    turn: Desk
    slm: Batcher
    shapes: Shapes
    on_change: Callable[[], None] = lambda: None
    """Called when a session's phase or work is another."""
    noise: Mapping[Stage, float] = field(default_factory=lambda: NOISE)
    turns: list[Turn] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)


class Revision:
    """Work for one version of what a user said. Once dropped, nothing of it comes back."""

    def __init__(self, service: Service, session: str, noise: Random) -> None:
        self.service = service
        self.session = session
        self._noise = noise
        self._alive = True
        self._requests: list[tuple[Desk, Request]] = []
        self._asking = ExitStack()

    @property
    def now_s(self) -> float:
        """The time."""
        return self.service.machine.now_s

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Do something at a time, unless dropped before."""
        self.service.machine.at(time_s, self._unless_dropped(action))

    def ask(self, desk: Desk, stage: Stage, units: float, due_s: float, then: Callable[[], None]) -> None:
        """Ask a worker for something, whose work is noisy."""
        work = stage_work(self.service.chip, self.service.models, stage, units)
        noisy = work.times(self._noise.lognormvariate(0, self.service.noise[stage]))
        request = desk.ask(noisy, due_s, self._noted(stage, units, then), Work(stage, units))
        self._requests.append((desk, request))

    def read(self, tokens: int, then: Callable[[], None]) -> None:
        """Let the language model take in some tokens ahead of time."""
        self.service.slm.read(self.session, tokens, self._noted("slm_read", tokens, then))

    def answer(self, prompt: int, reply: int, due_s: float, on_read: Action, on_token: Action, on_last: Action) -> None:
        """Let the language model take in some tokens, and make others."""
        self._asking.enter_context(self.service.shapes.costs.asking("slm"))
        made = iter(range(reply - 1, -1, -1))
        last: Action = on_last

        def understood() -> None:
            nonlocal last
            on_read()
            last = self._noted("slm", reply, on_last)

        def token() -> None:
            on_token()
            if not next(made):
                self._asking.close()
                last()

        on_prompt = self._noted("slm_read", prompt, understood)
        self.service.slm.answer(self.session, prompt, reply, due_s, on_prompt, self._unless_dropped(token))

    def drop(self) -> None:
        """Cancel all of it."""
        self._alive = False
        self._asking.close()
        for desk, request in self._requests:
            desk.cancel(request)
        self.service.slm.drop(self.session)

    def _noted(self, stage: Stage, units: float, then: Callable[[], None]) -> Callable[[], None]:
        begin_s = self.now_s

        def done() -> None:
            self.service.spans.append(Span(self.session, stage, units, begin_s, self.now_s))
            then()

        return self._unless_dropped(done)

    def _unless_dropped(self, action: Callable[[], None]) -> Callable[[], None]:
        def act() -> None:
            if self._alive:
                action()

        return act
