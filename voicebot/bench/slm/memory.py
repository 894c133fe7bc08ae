"""What the cells of a conversation take, by what they are made of, and what the whole engine does."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import psutil

from voicebot.bench.slm.prompts import CHAT
from voicebot.bench.slm.report import Limit, Part, Row
from voicebot.bench.slm.subject import Subject
from voicebot.engines.llama.weights import Weights
from voicebot.models.gguf import kv_bytes_per_token

_BYTES_PER_MB: Final = 1e6
_FEW_CELLS: Final = 4096
_MANY_CELLS: Final = 12288
"""What they take more than the few is of the cells alone: whatever else a context has is in both. Fewer would
find room in what was freed before, which this process still has."""
_SIZE_OF_F16: Final = {"f16": 1.0, "q8_0": 34 / 32 / 2}
"""A block of 32 elements of q8_0 has a byte for each and two for their scale."""
_TOLERANCE: Final = 0.1
_REPLIES: Final = 4


def measure(subject: Subject) -> Part:
    """Compute what a token takes, and hold it against the growth of this process."""
    rows: list[Row] = []
    limits: list[Limit] = []
    with subject.weights() as weights:
        for kv_type, share in _SIZE_OF_F16.items():
            computed = kv_bytes_per_token(subject.model) * share
            grown = _grown_bytes(subject, weights, kv_type, _MANY_CELLS) - _grown_bytes(
                subject, weights, kv_type, _FEW_CELLS
            )
            measured = grown / (_MANY_CELLS - _FEW_CELLS)
            rows.append({"cells": kv_type, "bytes per token": computed, "measured": measured})
            limits.append(
                Limit(f"measured to computed, {kv_type}", measured / computed, 1 + _TOLERANCE, 1 - _TOLERANCE)
            )
    before = _rss_bytes()
    with subject.client() as client:
        loaded = _rss_bytes() - before
        for prompt in CHAT[:_REPLIES]:
            client.reply(prompt.messages, client.settings.max_tokens)
        used = _rss_bytes() - before
    engine: Row = {
        "RSS": "engine",
        "loaded MB": loaded / _BYTES_PER_MB,
        "after replies MB": used / _BYTES_PER_MB,
        "process MB": (before + used) / _BYTES_PER_MB,
    }
    return Part({"keys and values": rows, "whole": [engine]}, limits)


def _grown_bytes(subject: Subject, weights: Weights, kv_type: str, cells: int) -> int:
    settings = subject.settings.model_validate(subject.settings.model_dump() | {"kv_type": kv_type})
    before = _rss_bytes()
    with replace(subject, settings=settings).context(weights, cells, 1):
        return _rss_bytes() - before


def _rss_bytes() -> int:
    return int(psutil.Process().memory_info().rss)
