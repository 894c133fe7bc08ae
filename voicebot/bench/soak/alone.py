"""The same requests asked alone, one after the other, without drafts: what the right answers are."""

from __future__ import annotations

import dataclasses
import itertools
import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from voicebot.bench.soak.inside import Inside
from voicebot.bench.soak.rounding import Rows, difference, first_difference
from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.context import Context
from voicebot.engines.llama.engine import LlamaEngine
from voicebot.engines.llama.job import Job
from voicebot.engines.protocols import Answer, Computed, Piece, SlmItem, SlmRequest, Weighed
from voicebot.errors import EngineError
from voicebot.workers.flags import CancelFlag


@dataclass(frozen=True, slots=True)
class Told:
    """What was answered to a request that was not cancelled."""

    request: SlmRequest
    target: Sequence[int]
    """The tokens that were read."""
    reply: Sequence[int]
    """The tokens that were said."""
    items: tuple[SlmItem, ...]
    """What was answered, but for the text."""


class Alone:
    """An engine with one session at a time, each of which is new to it."""

    def __init__(
        self, model: Path, settings: SlmSettings, threads: int, prefill_threads: int, never: CancelFlag
    ) -> None:
        plain = settings.model_copy(update={"slots": 1, "speculation": False, "phrase_book": False})
        self._engine = LlamaEngine(model, plain, threads, prefill_threads)
        self._inside = Inside(self._engine)
        cells = 2 * settings.context_tokens
        self._context = Context(self._inside.weights, cells, 2, threads, prefill_threads, settings.kv_type)
        self._rows = Rows(self._context)
        self._never = never
        self._told: dict[tuple[object, ...], Told] = {}
        self._sessions = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()
        self._engine.close()

    def answer(self, request: SlmRequest) -> Told:
        """Return what the model says. A shorter reply is the beginning of a longer one, asked for once."""
        key = _key(request)
        told = self._told.get(key)
        if told is None or told.request.max_tokens < request.max_tokens:
            told = self._told[key] = self._ask(request)
        return dataclasses.replace(told, request=request, reply=told.reply[: request.max_tokens])

    def rounding(self, told: Iterable[Told], rows: int) -> list[float]:
        """Return the differences between rows that were computed alone and in batches, for so many rows."""
        found: list[float] = []
        for each in told:
            if len(found) >= rows:
                break
            shapes = (self._rows.alone(each.target, each.reply), self._rows.batched(each.target, each.reply))
            found += [difference(one, other) for one, other in zip(*shapes, strict=True)]
        return found

    def gap(self, told: Told) -> float | None:
        """Return by how much the token that is the first to differ is less likely alone, in logits; None: all same.

        With the penalties and the grammar of the request. An end of the reply counts as a token.
        """
        right = self.answer(told.request)
        place = first_difference(told.reply, right.reply)
        if place is None:
            return None
        sampler = self._inside.sampler(told.request)
        sampler.reset(self._begun(told.request))
        for token in right.reply[:place]:
            sampler.accept(token)
        likely = sampler.distribution(self._rows.alone(right.target, right.reply[:place])[-1])
        sampler.close()
        ends = self._inside.weights.reply_ends()
        one, other = (max(likely[reply[place : place + 1] or ends]) for reply in (list(right.reply), list(told.reply)))
        return math.inf if other == 0 else abs(math.log(one / other))

    def _begun(self, request: SlmRequest) -> list[int]:
        return self._inside.weights.tokens(request.begun, begin=False) if request.begun else []

    def _ask(self, request: SlmRequest) -> Told:
        answer = self._engine.submit(dataclasses.replace(request, session=f"{next(self._sessions)}"), self._never)
        job = self._inside.job(answer)
        while not answer.ended:
            self._engine.step()
        if job is None or answer.error is not None:
            raise answer.error or EngineError("a request alone was not taken up.")
        return told_of(request, job, answer)


def _key(request: SlmRequest) -> tuple[object, ...]:
    """Return what the answer depends on, but for how long it may be."""
    return request.op, request.messages, request.begun, request.must_call, *(tool.name for tool in request.tools)


def told_of(request: SlmRequest, job: Job, answer: Answer) -> Told:
    """Return what became of a job, in little memory: what a soak keeps is not to look like a leak."""
    reply = () if job.reply is None else job.reply.tokens
    items = tuple(item for item in answer.items if not isinstance(item, Piece))
    return Told(request, array("i", job.target), array("i", reply), items)


def held(told: Told) -> int | None:
    """Return how many tokens a prefill said that the conversation has."""
    return next((item.held for item in told.items if isinstance(item, Computed)), None)


def probability(told: Told) -> float | None:
    """Return the answer to "end"."""
    return next((item.probability for item in told.items if isinstance(item, Weighed)), None)
