"""llama.cpp's context: one pool of cells for the keys and values of many sequences, and one way to compute more."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from voicebot.engines.llama.weights import Weights
from voicebot.errors import CancelledWorkError, EngineError

BATCH_TOKENS: Final = 256
"""The most tokens of one step."""
MOST_OUTPUTS: Final = 128
"""The most rows of logits of one step; each is as long as the vocabulary."""
_ABORTED: Final = 2
_NO_ROOM: Final = 1
_KV_TYPES: Final = {"f16": 1, "q8_0": 8}
"""llama.cpp's numbers of the types."""
_FLASH_ATTENTION: Final = 1

_strlen = ctypes.CDLL(None).strlen
_LENGTH_IS_ABORT: Final = ctypes.cast(_strlen, llama_cpp.ggml_abort_callback)
"""llama.cpp asks this before every node of its graph whether to abort. Written in Python it would take the
interpreter's lock each time; `strlen` over the cancel flag's two bytes returns 0 or 1 and takes none."""


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens to append to a sequence, whose first one gets the position `begin`."""

    sequence: int
    begin: int
    tokens: Sequence[int]
    outputs: Sequence[int] = ()
    """Which of the tokens need the logits of what follows them; indices into `tokens`."""


class Context:
    """Sequences and their cells. Used by one thread.

    All sequences share one pool, so that a prefix that several of them begin with is kept once; flash attention
    passes over the cells of the others, so that they cost next to nothing.
    """

    def __init__(
        self,
        weights: Weights,
        cells: int,
        sequences: int,
        threads: int,
        prefill_threads: int,
        kv_type: Literal["f16", "q8_0"] = "f16",
    ) -> None:
        """Take memory for so many `cells`, each of which holds one token. Raises EngineError when there is none."""
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch = params.n_ubatch = BATCH_TOKENS
        params.n_outputs_max = MOST_OUTPUTS
        params.n_seq_max = sequences
        params.n_threads = threads
        params.n_threads_batch = prefill_threads
        params.kv_unified = True
        params.flash_attn_type = _FLASH_ATTENTION
        params.type_k = params.type_v = _KV_TYPES[kv_type]
        params.no_perf = True
        self._context = llama_cpp.llama_init_from_model(weights.handle, params)
        if not self._context:
            raise EngineError(f"llama.cpp has no memory for a context of {cells} tokens; choose a smaller one.")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._vocabulary_size = weights.vocabulary_size
        self._batch = _Batch()

    def decode(self, spans: Sequence[Span], abort: int) -> list[int]:
        """Compute the spans in one step; returns for each the row of its first token, for `logits`.

        `abort`: address of a C string; the computation stops as soon as it is not empty. Raises CancelledWorkError
        or EngineError, and then the sequences hold what they held before.
        """
        llama_cpp.llama_set_abort_callback(self._context, _LENGTH_IS_ABORT, ctypes.c_void_p(abort))
        rows = self._batch.fill(spans)
        status = llama_cpp.llama_decode(self._context, self._batch.struct)
        if status != 0:
            for span in spans:
                self.forget(span.sequence, span.begin)
            raise _error(status)
        return rows

    def logits(self, row: int) -> NDArray[np.float32]:
        """Return the logits after a token that needed them; shape (vocabulary size,), valid until the next step."""
        raw = llama_cpp.llama_get_logits_ith(self._context, row)
        return np.ctypeslib.as_array(raw, (self._vocabulary_size,))

    def forget(self, sequence: int, begin: int, end: int = -1) -> None:
        """Free a sequence's cells at the positions from `begin` to before `end`; -1 is to its last."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, begin, end)

    def share(self, source: int, target: int, begin: int, end: int = -1) -> None:
        """Let a sequence have cells of another one too. Nothing is copied."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, begin, end)

    def move(self, sequence: int, begin: int, by: int) -> None:
        """Move all from the position `begin` on by so many positions. No other sequence may have these cells."""
        llama_cpp.llama_memory_seq_add(self._memory, sequence, begin, -1, by)

    @property
    def movable(self) -> bool:
        """Whether `move` is possible with this model."""
        return bool(llama_cpp.llama_memory_can_shift(self._memory))

    def length(self, sequence: int) -> int:
        """Return how many positions the sequence has cells for."""
        return int(llama_cpp.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def save(self, sequence: int) -> bytes:
        """Return a sequence's keys and values, for `load`."""
        size = llama_cpp.llama_state_seq_get_size(self._context, sequence)
        buffer = (ctypes.c_uint8 * size)()
        written = llama_cpp.llama_state_seq_get_data(self._context, buffer, size, sequence)
        return bytes(buffer[:written])

    def load(self, sequence: int, state: bytes) -> bool:
        """Give a sequence what `save` returned, for the same weights; returns whether it could."""
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        return bool(llama_cpp.llama_state_seq_set_data(self._context, buffer, len(state), sequence))

    def close(self) -> None:
        """Free the memory."""
        llama_cpp.llama_free(self._context)
        self._context = None


class _Batch:
    """llama.cpp's batch on arrays that are filled at once; through ctypes each element would take a microsecond."""

    def __init__(self) -> None:
        self._tokens = np.zeros(BATCH_TOKENS, np.int32)
        self._positions = np.zeros(BATCH_TOKENS, np.int32)
        self._counts = np.ones(BATCH_TOKENS, np.int32)
        self._sequences = np.zeros(BATCH_TOKENS, np.int32)
        self._pointers = self._sequences.ctypes.data + 4 * np.arange(BATCH_TOKENS, dtype=np.uintp)
        self._outputs = np.zeros(BATCH_TOKENS, np.int8)
        self.struct = llama_cpp.llama_batch(
            0,
            _pointer(self._tokens, ctypes.c_int32),
            None,
            _pointer(self._positions, ctypes.c_int32),
            _pointer(self._counts, ctypes.c_int32),
            _pointer(self._pointers, ctypes.POINTER(ctypes.c_int32)),
            _pointer(self._outputs, ctypes.c_int8),
        )

    def fill(self, spans: Sequence[Span]) -> list[int]:
        """Lay the spans one after the other; returns where each begins."""
        rows = []
        end = 0
        self._outputs.fill(0)
        for span in spans:
            begin, end = end, end + len(span.tokens)
            rows.append(begin)
            self._tokens[begin:end] = span.tokens
            self._positions[begin:end] = np.arange(span.begin, span.begin + len(span.tokens))
            self._sequences[begin:end] = span.sequence
            for output in span.outputs:
                self._outputs[begin + output] = 1
        self.struct.n_tokens = end
        return rows


def _pointer(array: NDArray[np.generic], kind: type[ctypes._CDataType]) -> ctypes._Pointer[ctypes._CDataType]:
    return ctypes.cast(ctypes.c_void_p(array.ctypes.data), ctypes.POINTER(kind))


def _error(status: int) -> Exception:
    if status == _ABORTED:
        return CancelledWorkError("the language model was stopped on request.")
    if status == _NO_ROOM:
        return EngineError("the conversation is longer than the model's context.")
    return EngineError(f"llama.cpp failed to decode (status {status}).")
