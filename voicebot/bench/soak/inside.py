"""What an engine holds when nothing is under way, and what it should. The only part that looks inside it."""

from __future__ import annotations

import ctypes
import itertools

import llama_cpp

from voicebot.engines.llama.context import BATCH_TOKENS, Span
from voicebot.engines.llama.draft_length import StepCosts
from voicebot.engines.llama.engine import LlamaEngine
from voicebot.engines.llama.job import Job
from voicebot.engines.llama.sampling import Sampler
from voicebot.engines.llama.weights import Weights
from voicebot.engines.protocols import Answer, SlmRequest
from voicebot.errors import EngineError

# ruff: noqa: SLF001


class _MemoryBound(StepCosts):
    """The curve of a box on which a long batch costs hardly more than a short one, so that most drafts pay."""

    def ms(self, tokens: int) -> float:
        return 10.0 + 0.01 * tokens


class Inside:
    """A view of one engine. Used by the thread that steps it."""

    def __init__(self, engine: LlamaEngine) -> None:
        self._engine = engine
        self._context = engine._context
        self._prefix = engine._prefix
        self._scratch = engine._prefix.sequence + 1

    @property
    def weights(self) -> Weights:
        """The engine's model."""
        return self._engine._weights

    def job(self, answer: Answer) -> Job | None:
        """Return the job of an answer that has not ended."""
        jobs = itertools.chain(self._engine._waiting, *(place.jobs for place in self._engine._places))
        return next((job for job in jobs if job.answer is answer), None)

    def let_drafts_pay(self, *, pay: bool) -> None:
        """Let drafts be chosen as on a box whose memory is the bottleneck, or as on this one."""
        self._engine.speculation._costs = _MemoryBound() if pay else self._engine._costs

    def sampler(self, request: SlmRequest) -> Sampler:
        """Return a sampler whose `distribution` is that of all tokens by the request's penalties and grammar."""
        engine = self._engine
        settings = engine._settings.model_copy(update={"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0})
        grammar = engine._grammars.sampler(request.tools, required=request.must_call) if request.tools else None
        return Sampler(settings, self.weights.vocabulary_size, grammar)

    def leaks(self) -> list[str]:
        """Return in words what an idle engine holds too much, or too little."""
        found = ["a request is under way"] if self._engine.busy else []
        for place in self._engine._places:
            if len(place.slot) != self._context.length(place.slot.sequence):
                held = self._context.length(place.slot.sequence)
                found.append(f"slot {place.slot.sequence} says {len(place.slot)} tokens and holds {held}")
        if self._context.length(self._scratch):
            found.append("the scratch sequence is not empty")
        if self._context.length(self._prefix.sequence) != len(self._prefix.tokens):
            found.append("the system prompt's sequence is not whole")
        return found

    def free_cells(self) -> int:
        """Return how many cells should be free, by what the slots say that they hold."""
        own = sum(len(place.slot) - place.slot._shared for place in self._engine._places)
        return int(llama_cpp.llama_n_ctx(self._context._context)) - len(self._prefix.tokens) - own

    def room(self) -> int:
        """Return how many cells are free indeed: so many tokens more can be computed, and not one beyond."""
        sequence, token, filled = self._scratch, self._prefix.tokens[0], 0
        size, never = BATCH_TOKENS, ctypes.create_string_buffer(2)
        while size:
            try:
                self._context.decode([Span(sequence, filled, [token] * size)], ctypes.addressof(never))
                filled += size
            except EngineError:
                size //= 2
        self._context.forget(sequence, 0)
        return filled
