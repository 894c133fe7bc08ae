"""One set of weights for all tests, and as many slots as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from voicebot.engines.llama.slot import Slot
from voicebot.engines.llama.weights import Weights

MakeSlot = Callable[..., Slot]


@pytest.fixture(scope="session")
def weights(gguf: Path) -> Weights:
    return Weights(gguf)


@pytest.fixture
def make_slot(weights: Weights) -> Iterator[MakeSlot]:
    made: list[Slot] = []

    def make(context_tokens: int = 1024) -> Slot:
        made.append(Slot(weights, context_tokens, threads=1, prefill_threads=2))
        return made[-1]

    yield make
    for slot in made:
        slot.close()
