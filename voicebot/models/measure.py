"""Measures a language model's weights on this box: how long they take, and how well they predict a text."""

from __future__ import annotations

import math
import statistics
import time
from pathlib import Path
from typing import Final

import numpy as np

from voicebot.errors import ModelError
from voicebot.models.loaded_gguf import CONTEXT_TOKENS, LoadedGguf, loaded_gguf
from voicebot.models.tuned import Speed

LONG_TOKENS: Final = 128
SHORT_TOKENS: Final = 16
_SHORT_PIECES: Final = 3
_DECODED_TOKENS: Final = 16
_OVERLAP_TOKENS: Final = 64
"""Read for their context only; their predictions count in the window before."""
_CHUNK_TOKENS: Final = 64
"""Read at once, so that the logits of a vocabulary of 150,000 take 40 MB."""


def speed_of(path: Path, text: str, threads: int, prefill_threads: int) -> Speed:
    """Return how fast the model reads and continues the beginning of the text. Raises ModelError."""
    with loaded_gguf(path, threads, prefill_threads) as model:
        tokens = model.tokens(text)
        short = [LONG_TOKENS + index * SHORT_TOKENS for index in range(_SHORT_PIECES)]
        decoded = short[-1] + SHORT_TOKENS
        if len(tokens) < decoded + _DECODED_TOKENS:
            raise ModelError("the text is too short to measure with; give one of 2,000 tokens.")
        model.read(tokens[:SHORT_TOKENS])  # the first pages of the weights, and all the memory
        model.clear()
        long_ms = _time_ms(model, tokens[:LONG_TOKENS])
        short_ms = [_time_ms(model, tokens[start : start + SHORT_TOKENS]) for start in short]
        token_ms = [_time_ms(model, [token]) for token in tokens[decoded : decoded + _DECODED_TOKENS]]
    median = statistics.median
    return Speed(prefill_128_ms=long_ms, prefill_16_ms=median(short_ms), token_ms=median(token_ms))


def perplexity_of(path: Path, text: str, threads: int) -> float:
    """Return the model's perplexity on the text, in overlapping windows. Raises ModelError.

    The exponential of the mean negative log likelihood per token, each with at least 64 tokens before it except at
    the beginning.
    """
    losses: list[float] = []
    with loaded_gguf(path, threads, threads) as model:
        tokens = model.tokens(text)
        for start in range(0, len(tokens) - _OVERLAP_TOKENS, CONTEXT_TOKENS - _OVERLAP_TOKENS):
            window = tokens[start : start + CONTEXT_TOKENS]
            model.clear()
            predicted = _losses(model, window)
            losses += predicted[_OVERLAP_TOKENS - 1 if start else 0 :]
    if not losses:
        raise ModelError("the text is too short to measure with; give one of 2,000 tokens.")
    return math.exp(math.fsum(losses) / len(losses))


def _losses(model: LoadedGguf, tokens: list[int]) -> list[float]:
    """Return the negative log likelihood of every token but the first."""
    losses: list[float] = []
    for start in range(0, len(tokens) - 1, _CHUNK_TOKENS):
        chunk = tokens[start : min(start + _CHUNK_TOKENS, len(tokens) - 1)]
        logits = model.read(chunk, all_logits=True)
        top = logits.max(axis=1)
        total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        following = tokens[start + 1 : start + 1 + len(chunk)]
        losses += (total - logits[np.arange(len(chunk)), following]).astype(float).tolist()
    return losses


def _time_ms(model: LoadedGguf, tokens: list[int]) -> float:
    begin = time.perf_counter()
    model.read(tokens)
    return (time.perf_counter() - begin) * 1000
