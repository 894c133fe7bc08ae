"""The real model, held to a grammar sampler by the shortest loop there is."""

from __future__ import annotations

import codecs
import ctypes
from collections.abc import Iterator
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from voicebot.engines.llama.weights import Weights

_CANDIDATE = np.dtype([("id", "i4"), ("logit", "f4"), ("p", "f4")])


class ConstrainedModel:
    """Writes replies to one prompt, which is computed once."""

    def __init__(self, weights: Weights, prompt: str) -> None:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = 1024
        params.n_threads = params.n_threads_batch = 1
        self._weights = weights
        self._context = llama_cpp.llama_init_from_model(weights.handle, params)
        self._prompt = weights.tokens(prompt)
        self._decode(self._prompt[:-1])

    def reply(self, grammar: Any, *, temperature: float, seed: int, max_tokens: int) -> Iterator[str]:
        """Yield a reply's text token by token; the grammar sampler is freed."""
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        choice = (
            [llama_cpp.llama_sampler_init_temp(temperature), llama_cpp.llama_sampler_init_dist(seed)]
            if temperature
            else [llama_cpp.llama_sampler_init_greedy()]
        )
        for step in (grammar, *choice):
            llama_cpp.llama_sampler_chain_add(chain, step)
        memory = llama_cpp.llama_get_memory(self._context)
        llama_cpp.llama_memory_seq_rm(memory, 0, len(self._prompt) - 1, -1)
        text = codecs.getincrementaldecoder("utf-8")("replace")
        token = self._prompt[-1]
        try:
            for _ in range(max_tokens):
                self._decode([token])
                token = int(llama_cpp.llama_sampler_sample(chain, self._context, -1))
                if self._weights.ends_reply(token):
                    return
                yield text.decode(self._weights.piece(token))
        finally:
            llama_cpp.llama_sampler_free(chain)

    def close(self) -> None:
        llama_cpp.llama_free(self._context)

    def _decode(self, tokens: list[int]) -> None:
        held = (llama_cpp.llama_token * len(tokens))(*tokens)  # the batch points into it
        batch = llama_cpp.llama_batch_get_one(held, len(tokens))
        assert llama_cpp.llama_decode(self._context, batch) == 0


def masked(sampler: Any, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a sampler makes of the logits of the whole vocabulary."""
    candidates = np.zeros(len(logits), _CANDIDATE)
    candidates["id"] = np.arange(len(logits))
    candidates["logit"] = logits
    array = llama_cpp.llama_token_data_array(
        data=ctypes.cast(candidates.ctypes.data, llama_cpp.llama_token_data_p),
        size=len(logits),
        selected=-1,
        sorted=False,
    )
    llama_cpp.llama_sampler_apply(sampler, ctypes.byref(array))
    result: NDArray[np.float32] = candidates["logit"].copy()
    return result
