"""A GGUF in memory, to look at how fast it is and how well it predicts. The engine that answers people is another."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from voicebot.errors import ModelError

CONTEXT_TOKENS: Final = 512
_log = logging.getLogger(__name__)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator, unused-ignore]
def _forward_log(level: int, text: bytes, user_data: object) -> None:
    del level, user_data
    _log.debug("%s", text.decode("utf-8", "replace").rstrip())


def start_llama() -> None:
    """Start llama.cpp, its own lines going to the log at the lowest level. May be called again."""
    llama_cpp.llama_log_set(_forward_log, None)
    llama_cpp.llama_backend_init()


class LoadedGguf:
    """A model with one context of `CONTEXT_TOKENS`, from `loaded_gguf`."""

    def __init__(self, model: Any, context: Any) -> None:  # noqa: ANN401
        self._context = context
        self._memory = llama_cpp.llama_get_memory(context)
        self._vocabulary = llama_cpp.llama_model_get_vocab(model)
        self.vocabulary_size: int = llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        self.parameters: int = llama_cpp.llama_model_n_params(model)
        self._held = 0

    def tokens(self, text: str) -> list[int]:
        """Return the text's tokens."""
        raw = text.encode()
        buffer = (llama_cpp.llama_token * (len(raw) + 8))()
        count = llama_cpp.llama_tokenize(self._vocabulary, raw, len(raw), buffer, len(buffer), True, False)  # noqa: FBT003
        return list(buffer[: max(0, count)])

    def clear(self) -> None:
        """Forget what was read."""
        llama_cpp.llama_memory_clear(self._memory, True)  # noqa: FBT003
        self._held = 0

    def read(self, tokens: Sequence[int], *, all_logits: bool = False) -> NDArray[np.float32]:
        """Read on, and return the logits [1 or len(tokens), vocabulary], which are valid until the next call."""
        count = len(tokens)
        batch = llama_cpp.llama_batch_init(count, 0, 1)
        try:
            batch.n_tokens = count
            for index, token in enumerate(tokens):
                batch.token[index] = token
                batch.pos[index] = self._held + index
                batch.n_seq_id[index] = 1
                batch.seq_id[index][0] = 0
                batch.logits[index] = all_logits or index == count - 1
            if llama_cpp.llama_decode(self._context, batch):
                raise ModelError("llama.cpp can't compute with these weights; tune without this format.")
        finally:
            llama_cpp.llama_batch_free(batch)
        self._held += count
        shape = (count if all_logits else 1, self.vocabulary_size)
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits(self._context), shape)


@contextmanager
def loaded_gguf(
    path: Path,
    threads: int,
    prefill_threads: int,
    watch: Any = None,  # noqa: ANN401
) -> Iterator[LoadedGguf]:
    """Load a model for the block. `watch` is a ggml callback that is shown every node of the graph.

    Raises ModelError when the file is no model that llama.cpp can load.
    """
    start_llama()
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    if not model:
        raise ModelError(f"llama.cpp can't load {path}; run `voicebot models verify`.")
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = CONTEXT_TOKENS
    params.n_threads, params.n_threads_batch = threads, prefill_threads
    params.no_perf = True
    if watch is not None:
        params.cb_eval = ctypes.cast(watch, llama_cpp.ggml_backend_sched_eval_callback)
    context = llama_cpp.llama_init_from_model(model, params)
    try:
        if not context:
            raise ModelError(f"llama.cpp has no memory for {path}; stop other programs first.")
        yield LoadedGguf(model, context)
    finally:
        if context:
            llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(model)
