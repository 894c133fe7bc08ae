"""One set of weights for all tests, and as many contexts as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from voicebot.engines.llama.context import Context
from voicebot.engines.llama.slot import Slot
from voicebot.engines.llama.weights import Weights

MakeContext = Callable[..., Context]
MakeSlot = Callable[..., Slot]
SCRATCH = 3


@pytest.fixture(scope="session")
def weights(gguf: Path) -> Weights:
    return Weights(gguf)


@pytest.fixture
def make_context(weights: Weights) -> Iterator[MakeContext]:
    made: list[Context] = []

    def make(cells: int = 1024, sequences: int = 4, **options: str) -> Context:
        made.append(Context(weights, cells, sequences, threads=1, prefill_threads=2, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for context in made:
        context.close()


@pytest.fixture(scope="session")
def much(weights: Weights) -> list[int]:
    return weights.tokens("The quick brown fox jumps over the lazy dog. " * 100)[:700]
