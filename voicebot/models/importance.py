"""How much each input of a matrix matters: its mean square over a text, as llama.cpp's own importance matrices have it.

Rounding a weight hurts in proportion to its input, so the quantiser minimises the squared error weighed by these.
Rounded without them, SmolLM2-135M in IQ4_NL is 1.7 times as far (KL divergence) from the original.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import llama_cpp
import numpy as np
from llama_cpp._ggml import libggml
from numpy.typing import NDArray

from voicebot.models.loaded_gguf import CONTEXT_TOKENS, loaded_gguf

Importance = Mapping[str, NDArray[np.float32]]

_FED_BY: Final = {
    "attn_norm": ("attn_q", "attn_k", "attn_v", "attn_qkv"),
    "kqv_out": ("attn_output",),
    "ffn_norm": ("ffn_gate", "ffn_up"),
    "ffn_swiglu": ("ffn_down",),
    "ffn_geglu": ("ffn_down",),
}
"""Nodes of llama.cpp's graphs and the matrices that they are the input of. A graph with other names has fewer."""

libggml.ggml_get_name.restype = ctypes.c_char_p
libggml.ggml_get_data.restype = ctypes.c_void_p
libggml.ggml_nelements.restype = libggml.ggml_nrows.restype = ctypes.c_int64
for _function in (libggml.ggml_get_name, libggml.ggml_get_data, libggml.ggml_nelements, libggml.ggml_nrows):
    _function.argtypes = [ctypes.c_void_p]


def importance_of(path: Path, text: str, threads: int) -> Importance:
    """Return the importance of the inputs by the name of each matrix, float32 [inputs]. Raises ModelError."""
    sums: dict[str, NDArray[np.float64]] = {}

    @llama_cpp.ggml_backend_sched_eval_callback  # type: ignore[untyped-decorator, unused-ignore]
    def watch(node: int, asking: bool, user_data: object) -> bool:  # noqa: FBT001
        del user_data
        name = libggml.ggml_get_name(node).decode("utf-8", "replace")
        wanted = name.partition("-")[0] in _FED_BY
        if wanted and not asking:
            rows = libggml.ggml_nrows(node)
            values = ctypes.cast(libggml.ggml_get_data(node), ctypes.POINTER(ctypes.c_float))
            inputs = np.ctypeslib.as_array(values, (rows, libggml.ggml_nelements(node) // rows))
            sums[name] = sums.get(name, 0) + np.square(inputs, dtype=np.float64).sum(axis=0)
        return wanted or not asking

    with loaded_gguf(path, threads, threads, watch) as model:
        tokens = model.tokens(text)
        for start in range(0, len(tokens), CONTEXT_TOKENS):
            model.clear()
            # With all logits wanted, the last layer computes all tokens too.
            model.read(tokens[start : start + CONTEXT_TOKENS], all_logits=True)
    return {
        f"blk.{layer}.{matrix}.weight": (total / len(tokens)).astype(np.float32)
        for name, total in sums.items()
        for node, _, layer in [name.partition("-")]
        for matrix in _FED_BY[node]
    }
