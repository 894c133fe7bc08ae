"""The serving engine: the requests of all sessions advance together, one batch after the other.

It knows nothing of processes or sockets: whoever hosts it submits requests and calls `step` while it is busy.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.acceptance import verify
from voicebot.engines.llama.context import BATCH_TOKENS, MOST_OUTPUTS, Context, Span
from voicebot.engines.llama.draft_length import StepCosts
from voicebot.engines.llama.draft_model import DraftModel
from voicebot.engines.llama.drafts import Draft
from voicebot.engines.llama.grammar import ToolGrammars
from voicebot.engines.llama.job import Job, Reply, log_probability
from voicebot.engines.llama.place import Place, Places
from voicebot.engines.llama.prefix_file import PrefixFile
from voicebot.engines.llama.sampling import Sampler
from voicebot.engines.llama.scheduler import Limits, Need, share_out
from voicebot.engines.llama.slot import Prefix
from voicebot.engines.llama.speculation import NO_DRAFT, Speculation
from voicebot.engines.llama.upkeep import Upkeep
from voicebot.engines.llama.weights import Weights
from voicebot.engines.llama.window import Window
from voicebot.engines.protocols import Alarm, Answer, Cancel, Computed, Message, SlmRequest, Weighed
from voicebot.errors import CancelledWorkError, EngineError, VoicebotError

_SPARE_CELLS: Final = 64
_NEVER: Final = ctypes.create_string_buffer(2)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one place computes in a step."""

    place: Place
    span: Span
    line: tuple[Job, ...]
    """The jobs whose target it reads, each the beginning of the next; a single one that is replying."""
    draft: Draft = NO_DRAFT
    """What follows the reply's last token in the span."""


class LlamaEngine:
    """A GGUF model and its sessions. Raises EngineError when it does not load."""

    def __init__(
        self,
        model: Path,
        settings: SlmSettings,
        threads: int,
        prefill_threads: int,
        cache: Path | None = None,
        alarm: Alarm | None = None,
        draft_model: Path | None = None,
    ) -> None:
        """Load and warm it. `cache`: a directory for what need not be computed again. `draft_model`: guesses for it.

        `alarm` is raised by whoever cancels a request, right after its own flag, and stops the running step.
        """
        self._weights = Weights(model)
        self._settings = settings
        self._alarm = alarm
        begin = (Message("system", settings.system_prompt), Message("user", ""))
        tokens = tuple(Window(self._weights, settings.context_tokens).unfinished(begin, room=0))
        cells = settings.slots * settings.context_tokens + len(tokens) + _SPARE_CELLS
        self._context = Context(self._weights, cells, settings.slots + 2, threads, prefill_threads, settings.kv_type)
        scratch = settings.slots + 1
        self._prefix = Prefix(settings.slots, tokens)
        self._places = Places(self._weights, self._context, settings.slots, settings.context_tokens, scratch)
        self._grammars = ToolGrammars(self._weights.vocabulary)
        self._waiting: list[Job] = []
        self._costs = StepCosts()
        self._drafts = (
            DraftModel(draft_model, self._weights, settings, threads, prefill_threads) if draft_model else None
        )
        book = cache / "phrases.json" if cache and settings.phrase_book else None
        self.speculation = Speculation(self._weights, self._costs, book, self._drafts)
        self._random = np.random.default_rng(settings.seed)
        self._steps = 0
        self._ends = self._weights.sentence_ends()
        file = PrefixFile(cache / "prefixes", model, settings.kv_type, tokens) if cache else None
        self._upkeep = Upkeep(self._context, self._prefix, file, self._costs, scratch)
        self._upkeep.compute_prefix()

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self._waiting or self._places.busy)

    def submit(self, request: SlmRequest, cancel: Cancel) -> Answer:
        """Take up a request. Its answer grows with every step; errors are in there too."""
        job = Job(request, cancel, Answer(), [], time.monotonic())
        if not request.messages:
            job.answer.end(EngineError("there is no conversation to go on with."))
        elif request.op == "generate" and request.max_tokens < 1:
            job.answer.end()
        else:
            self._waiting.append(job)
            self._admit()
        return job.answer

    def step(self) -> None:
        """Advance the requests under way by one batch."""
        if self._alarm is not None:
            self._alarm.clear()  # before the flags are looked at: who cancels later raises it again
        self._drop_cancelled()
        self._admit()
        began_s = time.process_time()
        stretches: list[Stretch] = []
        try:
            stretches = self._stretches()
            if stretches:
                self._compute(stretches)
        except CancelledWorkError:
            pass  # whoever it was is dropped in the next step, and the others compute again
        except EngineError as error:
            for stretch in stretches:
                stretch.place.end(stretch.line[0], error)
        finally:
            _charge(stretches, time.process_time() - began_s)

    def rest(self) -> bool:
        """Do a little of what can wait while nothing is under way; returns whether there is more of it."""
        return self._upkeep.rest()

    def close(self) -> None:
        """Free all memory."""
        for place in self._places:
            for job in place.jobs:
                job.close()
        self._grammars.close()
        if self._drafts is not None:
            self._drafts.close()
        self._context.close()
        self._weights.close()

    def _admit(self) -> None:
        """Give places to those that wait: their session's own, else the one that was idle for longest."""
        for job in sorted(self._waiting, key=lambda job: job.arrived_s + job.request.within_s):
            place = self._places.of(job.request.session)
            if place is None:
                continue
            self._waiting.remove(job)
            try:
                self._prepare(place.window, job)
            except VoicebotError as error:
                job.answer.end(error)
                continue
            place.jobs.append(job)

    def _prepare(self, window: Window, job: Job) -> None:
        """Find out what the job has to read, and make its reply ready. Raises EngineError when that is too much."""
        request = job.request
        begun = self._weights.tokens(request.begun, begin=False) if request.begun else []
        room = max(min(self._settings.max_tokens, self._settings.context_tokens // 4), request.max_tokens) + len(begun)
        if request.op == "generate":
            job.target = window.answered(request.messages, room, request.tools) + begun
            grammar = self._grammars.sampler(request.tools, required=request.must_call) if request.tools else None
            sampler = Sampler(self._settings, self._weights.vocabulary_size, grammar)
            if begun:
                sampler.reset(begun)
            job.reply = Reply(self._weights, sampler, request, job.answer)
        elif request.op == "end" or request.messages[-1].role == "user":  # the user may go on
            job.target = window.unfinished(request.messages, room, request.tools)
        else:  # up to where the user's words begin
            job.target = window.unfinished((*request.messages, Message("user", "")), room, request.tools)

    def _drop_cancelled(self) -> None:
        for job in [job for job in self._waiting if job.cancel.requested()]:
            self._waiting.remove(job)
            job.answer.end(_cancelled())
        for place in self._places:
            for job in [job for job in place.jobs if job.cancel.requested()]:
                place.end(job, _cancelled())

    def _stretches(self) -> list[Stretch]:
        """Return what is computed in the next step, by whom."""
        active = [place for place in self._places.busy if self._ready(place)]
        needs = [self._need(place) for place in active]
        limits = Limits(BATCH_TOKENS, self._affordable_tokens() if len(active) > 1 else BATCH_TOKENS)
        shares = share_out(needs, limits)
        self._steps += 1
        total = sum(shares)
        stretches = []
        for place, share in zip(active, shares, strict=True):
            place.used = self._steps
            if share:
                stretches.append(self._stretch(place, share, total - share))
                total += len(stretches[-1].span.tokens) - share
        return stretches

    def _ready(self, place: Place) -> bool:
        """Align the first job's slot, and end those that need nothing more; returns whether there is one that does."""
        while place.jobs:
            job = place.jobs[0]
            if not job.aligned:
                try:
                    abort, leave = self._abort_address([job]), int(job.needs_logits)
                    job.computed = place.slot.align(job.target, self._prefix, abort, leave=leave)
                except EngineError as error:
                    place.end(job, error)
                    continue
                job.aligned = True
            if job.replying or len(place.slot) < len(job.target):
                return True
            self._end_read(place, job)
        return False

    def _need(self, place: Place) -> Need:
        job = place.jobs[0]
        tokens = 1 if job.replying else len(place.line()[-1].target) - len(place.slot)
        return Need(tokens, job.replying, job.arrived_s, job.arrived_s + job.request.within_s)

    def _affordable_tokens(self) -> int:
        """Return how many tokens a step may have that others wait for."""
        tokens = BATCH_TOKENS
        while tokens > 1 and self._costs.ms(tokens) > self._settings.step_ms:
            tokens = tokens * 7 // 8
        return tokens

    def _stretch(self, place: Place, share: int, others: int) -> Stretch:
        """`others`: how many tokens the step has besides."""
        job, begin = place.jobs[0], len(place.slot)
        if job.reply is not None and job.replying:
            draft = self._draft(place, job, job.reply, others)
            tokens = [job.reply.pending, *draft.tokens]
            return Stretch(place, Span(place.slot.sequence, begin, tokens, range(len(tokens))), (job,), draft)
        line = place.line()
        tokens = line[-1].target[begin : begin + share]
        ends = {len(each.target) - 1 - begin for each in line if each.needs_logits}
        outputs = sorted(end for end in ends if 0 <= end < len(tokens))
        return Stretch(place, Span(place.slot.sequence, begin, tokens, outputs), line)

    def _draft(self, place: Place, job: Job, reply: Reply, others: int) -> Draft:
        if not self._settings.speculation:
            return NO_DRAFT
        if place.guessers is None:
            place.guessers = self.speculation.guessers(place.slot.sequence)
        history = [*place.slot.tokens, reply.pending]
        most = min(reply.left - 1, BATCH_TOKENS - others - 1, MOST_OUTPUTS - others - 1)
        return self.speculation.draft(place.guessers, reply.guesses, history, others, most, self._abort_address([job]))

    def _compute(self, stretches: Sequence[Stretch]) -> None:
        spans = [stretch.span for stretch in stretches]
        began_s = time.perf_counter()
        rows = self._context.decode(spans, self._abort_address([stretch.line[0] for stretch in stretches]))
        ms = (time.perf_counter() - began_s) * 1000
        if all(stretch.line[0].replying for stretch in stretches):  # reading costs less, without rows of logits
            self._costs.observe(sum(len(span.tokens) for span in spans), ms)
        self.speculation.elapsed(ms)
        for stretch in stretches:
            stretch.place.slot.append(stretch.span.tokens)
        for stretch, row in zip(stretches, rows, strict=True):
            for job in stretch.line:
                try:
                    self._take(stretch, job, row)
                except EngineError as error:
                    stretch.place.end(job, error)

    def _take(self, stretch: Stretch, job: Job, row: int) -> None:
        """Use what was computed for a job: the rest of what it reads, or the next token of its reply."""
        place, span = stretch.place, stretch.span
        if job.reply is not None and job.replying:
            self._choose(place, job, job.reply, row, stretch.draft)
            return
        end = len(job.target) - 1 - span.begin
        if end >= len(span.tokens):
            return
        job.aligned = True
        if job.reply is not None:
            self._choose(place, job, job.reply, row + end, NO_DRAFT)
        elif job.needs_logits:
            probabilities = _softmax(self._context.logits(row + end))
            job.answer.items.append(Weighed(float(probabilities[self._ends].sum())))
            place.end(job)
        else:
            self._end_read(place, job)

    def _choose(self, place: Place, job: Job, reply: Reply, row: int, draft: Draft) -> None:
        """Go on with a reply by the logits after its last token and after each token of the draft."""
        ends = self._weights.ends_reply
        emitted = verify(reply.sampler, lambda place: self._context.logits(row + place), draft, self._random, ends)
        for index, token in enumerate(emitted):
            confident = log_probability(self._context.logits(row + index), token) if job.request.confidence else None
            reply.add(token, confident)
        if draft.tokens:
            accepted = self.speculation.learn(reply.guesses, draft, emitted)
            place.slot.roll_back(len(place.slot) - len(draft) + accepted)
        if reply.left <= 0:
            reply.finish()
            if job.request.spoken and not job.request.tools:  # a call's arguments are no phrases either
                self.speculation.remember(reply.tokens, reply.text)
            place.end(job)

    def _end_read(self, place: Place, job: Job) -> None:
        job.answer.items.append(Computed(job.computed, len(job.target)))
        place.end(job)

    def _abort_address(self, jobs: Sequence[Job]) -> int:
        if self._alarm is not None:
            return self._alarm.address
        return jobs[0].cancel.address if len(jobs) == 1 else ctypes.addressof(_NEVER)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    weights: NDArray[np.float32] = np.exp(logits - logits.max())
    weights /= weights.sum()
    return weights


def _charge(stretches: Sequence[Stretch], cpu_s: float) -> None:
    """Share the processor time of a step among those it was for, by their tokens."""
    tokens = sum(len(stretch.span.tokens) for stretch in stretches)
    for stretch in stretches:
        stretch.line[0].answer.cpu_s += cpu_s * len(stretch.span.tokens) / tokens


def _cancelled() -> CancelledWorkError:
    return CancelledWorkError("the work was cancelled on request.")
