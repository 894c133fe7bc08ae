"""The model as the pipeline and the box have it, and one who asks it in this process as a worker would."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from voicebot.bench.slm.observed import ObservedEngine
from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.context import Context
from voicebot.engines.llama.weights import Weights
from voicebot.engines.protocols import Answer, Message, Piece, SlmRequest
from voicebot.workers.flags import CancelFlag, CancelFlags


@dataclass(frozen=True, slots=True)
class TimedReply:
    """A reply's pieces, nearly always a token each, and when each was there, counted from the request."""

    pieces: tuple[str, ...]
    moments_ms: tuple[float, ...]

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.pieces)

    @property
    def first_ms(self) -> float:
        """When the first token was there."""
        return self.moments_ms[0]

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens per second from the first to the last; None for a reply of fewer than two."""
        spent_ms = self.moments_ms[-1] - self.moments_ms[0] if self.moments_ms else 0.0
        return (len(self.pieces) - 1) / spent_ms * 1000 if spent_ms else None


class Client:
    """Asks an engine that nobody else asks."""

    def __init__(self, engine: ObservedEngine, flags: CancelFlags, settings: SlmSettings, within_s: float) -> None:
        self.engine = engine
        self.flags = flags
        self.settings = settings
        self._within_s = within_s
        self._system = Message("system", settings.system_prompt)
        self._numbers = itertools.count()

    def new_session(self) -> str:
        """Return the name of a session that has said nothing."""
        return f"session {next(self._numbers)}"

    def rest(self) -> None:
        """Let the engine do what a worker's does while nobody asks: measure its steps."""
        while self.engine.rest():
            pass

    def prefill(self, messages: tuple[Message, ...], session: str) -> None:
        """Have the messages taken in."""
        self.finish(self.submit(SlmRequest("prefill", (self._system, *messages), session)))

    def start(self, messages: tuple[Message, ...], session: str, most: int, flag: int = 0) -> Answer:
        """Ask for a reply of at most so many tokens, of which none is computed yet."""
        asked = (self._system, *messages)
        return self.submit(SlmRequest("generate", asked, session, most, within_s=self._within_s), flag)

    def submit(self, request: SlmRequest, flag: int = 0) -> Answer:
        """Ask anything."""
        return self.engine.submit(request, self.flags[flag])

    def finish(self, *answers: Answer) -> None:
        """Step until they have ended. Raises what one of them ended with."""
        while not all(answer.ended for answer in answers):
            self.engine.step()
        for answer in answers:
            if answer.error is not None:
                raise answer.error

    def reply(self, messages: tuple[Message, ...], most: int, session: str | None = None) -> TimedReply:
        """Return the reply in a session, by default a new one."""
        self.rest()
        began_s = time.perf_counter()
        answer = self.start(messages, self.new_session() if session is None else session, most)
        moments_ms: list[float] = []
        while not answer.ended:
            self.engine.step()
            now_ms = (time.perf_counter() - began_s) * 1000
            moments_ms += [now_ms] * (len(answer.items) - len(moments_ms))
        self.finish(answer)
        return TimedReply(tuple(item.text for item in answer.items if isinstance(item, Piece)), tuple(moments_ms))

    def cancel(self, flag: CancelFlag) -> None:
        """Cancel a request as the daemon does. May be called from another thread."""
        flag.request()
        self.flags.alarm.request()


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured, and how often."""

    model: Path
    settings: SlmSettings
    threads: int
    prefill_threads: int
    within_s: float
    """How soon a first token is wanted."""
    repeats: int

    @contextmanager
    def client(self, draft_model: Path | None = None, **changes: object) -> Iterator[Client]:
        """Give an engine with these changes of the settings, that has measured its steps."""
        settings = SlmSettings.model_validate(self.settings.model_dump() | {"draft_model": ""} | changes)
        flags = CancelFlags.create()
        engine = ObservedEngine(
            self.model,
            settings,
            self.threads,
            self.prefill_threads,
            alarm=flags.alarm,
            draft_model=draft_model,
        )
        try:
            client = Client(engine, flags, settings, self.within_s)
            client.rest()
            yield client
        finally:
            engine.close()
            flags.close()

    def comparing(self, draft_model: Path | None = None) -> AbstractContextManager[Client]:
        """Give an engine for comparing ways to decode: greedy, and with a single slot.

        Where a sequence's cells lie in the pool changes how its numbers are rounded, and so where two good tokens are
        close which one is said; with one slot they always lie in the same place.
        """
        return self.client(draft_model, slots=1, speculation=True, temperature=0.0)

    @contextmanager
    def weights(self) -> Iterator[Weights]:
        """Give the weights without an engine."""
        weights = Weights(self.model)
        try:
            yield weights
        finally:
            weights.close()

    @contextmanager
    def context(self, weights: Weights, cells: int, sequences: int) -> Iterator[Context]:
        """Give a context of the weights, for batches of a chosen shape."""
        context = Context(weights, cells, sequences, self.threads, self.prefill_threads, self.settings.kv_type)
        try:
            yield context
        finally:
            context.close()

    def prompt_tokens(self, weights: Weights, messages: tuple[Message, ...]) -> list[int]:
        """Return what the model reads before it replies."""
        system = Message("system", self.settings.system_prompt)
        return weights.tokens(weights.render((system, *messages), reply=True))
