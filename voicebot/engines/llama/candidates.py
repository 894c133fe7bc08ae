"""The tokens that may come next, in the form that llama.cpp's samplers work on."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any, Final

import llama_cpp
import numpy as np
from numpy.typing import NDArray

_TOKEN_DATA: Final = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""llama.cpp's `llama_token_data`."""


@lru_cache(maxsize=4)
def all_ids(vocabulary_size: int) -> NDArray[np.int32]:
    """Return every id of a vocabulary, in one array that all share and nobody writes to."""
    ids = np.arange(vocabulary_size, dtype=np.int32)
    ids.flags.writeable = False
    return ids


class Candidates:
    """Up to `most` tokens with their logits. Samplers reorder them, drop some and change the logits of others."""

    def __init__(self, most: int) -> None:
        self._data = np.empty(most, _TOKEN_DATA)
        pointer = ctypes.cast(self._data.ctypes.data, llama_cpp.llama_token_data_p)
        self._array = llama_cpp.llama_token_data_array(pointer, 0, -1, False)  # noqa: FBT003
        self._reference = ctypes.byref(self._array)

    def fill(self, ids: NDArray[np.int32], logits: NDArray[np.float32]) -> None:
        """Hold these tokens and no others; both of shape (tokens,)."""
        data = self._data[: len(ids)]
        data["id"] = ids
        data["logit"] = logits
        self._array.size = len(ids)
        self._array.selected = -1
        self._array.sorted = False

    def apply(self, sampler: Any) -> None:  # noqa: ANN401 - a pointer of llama_cpp, which has no types
        """Let a sampler of llama.cpp work on the tokens."""
        llama_cpp.llama_sampler_apply(sampler, self._reference)

    @property
    def ids(self) -> NDArray[np.int32]:
        """The tokens left; a view that the next `fill` or `apply` changes."""
        ids: NDArray[np.int32] = self._data["id"][: self._array.size]
        return ids

    @property
    def logits(self) -> NDArray[np.float32]:
        """Their logits; a view as well."""
        logits: NDArray[np.float32] = self._data["logit"][: self._array.size]
        return logits

    @property
    def selected(self) -> int:
        """The token that the last sampler has chosen."""
        return int(self._data["id"][self._array.selected])
