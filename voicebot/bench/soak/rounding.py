"""How much the logits of one and the same text depend on what else is computed with it.

The model's activations are quantised and its attention adds up half-precision numbers, in an order that the size of a
batch and the places of the cells decide. So a row of logits that was computed beside other sessions, or as part of a
verified draft, is not bit for bit the one computed alone.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicebot.engines.llama.context import BATCH_TOKENS, Context, Span

Row = NDArray[np.float32]

_BEST: Final = 10
_NEIGHBOUR: Final = 37
"""Tokens of another session that move the cells."""


class Rows:
    """Computes rows of logits in batches of different shapes, in a context of its own with two sequences."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._never = ctypes.create_string_buffer(2)

    def alone(self, target: Sequence[int], reply: Sequence[int]) -> list[Row]:
        """Return the logits after the target and after each token of the reply, computed one by one."""
        rows = [self._read(target, beside=0)]
        for position, token in enumerate(reply, len(target)):
            rows.append(self._decode(Span(0, position, [token], [0]))[0])
        self._context.forget(0, 0)
        return rows

    def batched(self, target: Sequence[int], reply: Sequence[int]) -> list[Row]:
        """Return the same, read beside another session in other cells, and the reply as a draft that is verified."""
        self._decode(Span(1, 0, [target[0]] * _NEIGHBOUR))
        rows = [self._read(target, beside=5)]
        rows += self._decode(Span(0, len(target), reply, range(len(reply)))) if reply else []
        for sequence in (0, 1):
            self._context.forget(sequence, 0)
        return rows

    def _read(self, target: Sequence[int], beside: int) -> Row:
        """Compute the target; `beside`: how many tokens of the other session go with each step."""
        size = BATCH_TOKENS - beside
        rows: list[Row] = []
        for begin in range(0, len(target), size):
            tokens = target[begin : begin + size]
            other = Span(1, _NEIGHBOUR + begin // size * beside, [target[0]] * beside)
            rows = self._decode(Span(0, begin, tokens, [len(tokens) - 1]), *([other] if beside else []))
        return rows[0]

    def _decode(self, span: Span, *others: Span) -> list[Row]:
        rows = self._context.decode([*others, span], ctypes.addressof(self._never))
        return [self._context.logits(rows[-1] + output).copy() for output in span.outputs]


def difference(one: Row, other: Row) -> float:
    """Return by how much the gap between any two of the ten best tokens differs in two rows of the same text."""
    best = np.argpartition(one, -_BEST)[-_BEST:]
    change = one[best] - other[best]
    return float(change.max() - change.min())


def first_difference(some: Sequence[int], others: Sequence[int]) -> int | None:
    """Return where two replies differ first; None where they are the same. One may just be longer."""
    pairs = enumerate(itertools.zip_longest(some, others))
    return next((place for place, (one, other) in pairs if one != other), None)
