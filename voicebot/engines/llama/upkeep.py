"""What is done while nothing is asked: the system prompt's state is kept, and the cost of a step is measured."""

from __future__ import annotations

import ctypes
import math
import time
from typing import Final

from voicebot.engines.llama.context import BATCH_TOKENS, Context, Span
from voicebot.engines.llama.draft_length import StepCosts
from voicebot.engines.llama.prefix_file import PrefixFile
from voicebot.engines.llama.slot import Prefix

_MEASURED_TOKENS: Final = (16, 8, 4, 2, 1)
_MEASURED_AT_FIRST: Final = 3
"""So many times at first: a single step may be one that another process slowed down."""
_MEASURED_FOR_S: Final = 60.0
"""Then a step is measured again when there is time: what else runs on the box changes the curve."""
_NEVER: Final = ctypes.create_string_buffer(2)


class Upkeep:
    """Small pieces of work that can wait, each no longer than a step."""

    def __init__(
        self, context: Context, prefix: Prefix, file: PrefixFile | None, costs: StepCosts, scratch: int
    ) -> None:
        """`scratch`: a sequence that is empty."""
        self._context = context
        self._prefix = prefix
        self._file = file
        self._costs = costs
        self._scratch = scratch
        self._unmeasured: list[int] = []
        self._measured_s = -math.inf

    def compute_prefix(self) -> None:
        """Have the system prompt computed, from the file if that has it; which also warms everything up."""
        state = None if self._file is None else self._file.load()
        if state is not None and self._context.load(self._prefix.sequence, state):
            self._file = None
            return
        for begin in range(0, len(self._prefix.tokens), BATCH_TOKENS):
            tokens = self._prefix.tokens[begin : begin + BATCH_TOKENS]
            self._context.decode([Span(self._prefix.sequence, begin, tokens)], ctypes.addressof(_NEVER))

    def rest(self) -> bool:
        """Do the next piece; returns whether there is more."""
        if time.monotonic() - self._measured_s > _MEASURED_FOR_S:
            times = _MEASURED_AT_FIRST if self._measured_s == -math.inf else 1
            self._measured_s = time.monotonic()
            self._unmeasured = list(_MEASURED_TOKENS) * times
        if self._unmeasured:
            self._measure(self._unmeasured.pop())
        elif self._file is not None:
            self._file.save(self._context.save(self._prefix.sequence))
            self._file = None  # where it can't be written it is not tried again
        return bool(self._unmeasured) or self._file is not None

    def _measure(self, tokens: int) -> None:
        """Learn what a step of so many tokens costs, each with its row of logits."""
        began_s = time.perf_counter()
        span = Span(self._scratch, 0, [self._prefix.tokens[0]] * tokens, range(tokens))
        self._context.decode([span], ctypes.addressof(_NEVER))
        self._costs.observe(tokens, (time.perf_counter() - began_s) * 1000)
        self._context.forget(self._scratch, 0)
