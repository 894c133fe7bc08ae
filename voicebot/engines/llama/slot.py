"""One conversation's place in the model's memory: the tokens it holds, and the one way to change them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Final

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from voicebot.engines.llama.weights import Weights
from voicebot.engines.protocols import Cancel
from voicebot.errors import CancelledWorkError, EngineError

_BATCH_TOKENS: Final = 256
_LEAST_REUSED_TOKENS: Final = 64
"""Fewer are computed again: that is quick, and so short a stretch could be the same by chance."""
_ABORTED: Final = 2
_NO_ROOM: Final = 1

_strlen = ctypes.CDLL(None).strlen
_LENGTH_IS_ABORT: Final = ctypes.cast(_strlen, llama_cpp.ggml_abort_callback)
"""llama.cpp asks this before every node of its graph whether to abort. Written in Python it would take the
interpreter's lock each time; `strlen` over the cancel flag's two bytes returns 0 or 1 and takes none."""


class Slot:
    """A sequence of tokens whose keys and values are computed. Used by one thread."""

    def __init__(self, weights: Weights, context_tokens: int, threads: int, prefill_threads: int) -> None:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = context_tokens
        params.n_batch = params.n_ubatch = _BATCH_TOKENS
        params.n_seq_max = 1
        params.n_threads = threads
        params.n_threads_batch = prefill_threads
        params.no_perf = True
        self._weights = weights
        self._context = llama_cpp.llama_init_from_model(weights.handle, params)
        if not self._context:
            raise EngineError(
                f"llama.cpp has no memory for a context of {context_tokens} tokens; choose a smaller one."
            )
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._tokens: list[int] = []
        self.capacity: int = llama_cpp.llama_n_ctx(self._context)

    @property
    def tokens(self) -> tuple[int, ...]:
        """What the slot holds."""
        return tuple(self._tokens)

    @property
    def context(self) -> object:
        """llama.cpp's context, for its samplers."""
        return self._context

    def advance_to(self, tokens: Sequence[int], cancel: Cancel) -> int:
        """Make the slot hold exactly these tokens, with logits for the one after them.

        Keeps the longest prefix that it holds already, and returns how many tokens had to be computed.
        """
        kept = _common_prefix(self._tokens, tokens)
        if kept < len(self._tokens):
            kept = self._close_gap(tokens, kept)
        kept = min(kept, len(tokens) - 1)
        self.roll_back(kept)
        self.decode(tokens[kept:], cancel)
        return len(tokens) - kept

    def roll_back(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if length < len(self._tokens):
            llama_cpp.llama_memory_seq_rm(self._memory, 0, length, -1)
            del self._tokens[length:]

    def _close_gap(self, tokens: Sequence[int], kept: int) -> int:
        """Where tokens were taken out of the middle, take them out here, and move the rest down in place.

        This is how the oldest exchanges leave a full context: computing all that comes after them again would take
        seconds. What follows was computed with them in sight, as in llama.cpp's own context shift. Returns how many
        tokens are the wanted ones now.
        """
        gap = _gap(self._tokens, tokens, kept)
        if gap == 0 or not llama_cpp.llama_memory_can_shift(self._memory):
            return kept
        llama_cpp.llama_memory_seq_rm(self._memory, 0, kept, kept + gap)
        llama_cpp.llama_memory_seq_add(self._memory, 0, kept + gap, -1, -gap)
        del self._tokens[kept : kept + gap]
        return _common_prefix(self._tokens, tokens)

    def decode(self, tokens: Sequence[int], cancel: Cancel) -> None:
        """Append tokens. Raises CancelledWorkError or EngineError, and then lacks only the failed batch."""
        llama_cpp.llama_set_abort_callback(self._context, _LENGTH_IS_ABORT, ctypes.c_void_p(cancel.address))
        for begin in range(0, len(tokens), _BATCH_TOKENS):
            cancel.raise_if_requested()
            part = list(tokens[begin : begin + _BATCH_TOKENS])
            array = (llama_cpp.llama_token * len(part))(*part)
            status = llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(array, len(part)))
            if status != 0:
                llama_cpp.llama_memory_seq_rm(self._memory, 0, len(self._tokens), -1)
                raise _error(status)
            self._tokens += part

    def probabilities(self) -> NDArray[np.float32]:
        """Return the probability of every token of the vocabulary to come next; shape (vocabulary size,)."""
        raw = llama_cpp.llama_get_logits_ith(self._context, -1)
        logits: NDArray[np.float32] = np.ctypeslib.as_array(raw, (self._weights.vocabulary_size,)).copy()
        logits -= logits.max()
        np.exp(logits, out=logits)
        logits /= logits.sum()
        return logits

    def close(self) -> None:
        """Free the memory."""
        llama_cpp.llama_free(self._context)
        self._context = None


def _common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    length = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        length += 1
    return length


def _gap(held: Sequence[int], wanted: Sequence[int], kept: int) -> int:
    """Return how many tokens of `held` after the first `kept` to leave out so that it goes on like `wanted`; or 0."""
    probe = list(wanted[kept : kept + _LEAST_REUSED_TOKENS])
    if len(probe) < _LEAST_REUSED_TOKENS:
        return 0
    starts = range(kept + 1, len(held) - len(probe) + 1)
    return next((start - kept for start in starts if list(held[start : start + len(probe)]) == probe), 0)


def _error(status: int) -> Exception:
    if status == _ABORTED:
        return CancelledWorkError("the language model was stopped on request.")
    if status == _NO_ROOM:
        return EngineError("the conversation is longer than the model's context.")
    return EngineError(f"llama.cpp failed to decode (status {status}).")
