"""Asks an engine as a worker does, step by step until the answer is there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voicebot.engines.llama.engine import LlamaEngine
from voicebot.engines.protocols import Answer, Cancel, Computed, LanguageModel, Message, Piece, SlmRequest, Weighed

SYSTEM = Message("system", "You are a helpful voice assistant. Answer in one short sentence.")
FRANCE = (SYSTEM, Message("user", "What is the capital of France?"))


def asking(text: str) -> tuple[Message, ...]:
    return (SYSTEM, Message("user", text))


def alike(some: NDArray[np.float32], others: NDArray[np.float32]) -> bool:
    """Return whether two rows of logits differ by no more than rounding: by their Kullback-Leibler divergence.

    Where a sequence's cells lie in the pool changes the order in which flash attention adds up half-precision numbers,
    and this model makes 0.001 to 0.03 of that; another text before the row makes more than 1.
    """
    left, right = (row.astype(np.float64) - np.logaddexp.reduce(row.astype(np.float64)) for row in (some, others))
    return float((np.exp(left) * (left - right)).sum()) < 0.1


def finish(engine: LanguageModel, *answers: Answer) -> None:
    """Step until all of them have ended."""
    while not all(answer.ended for answer in answers):
        engine.step()


def text_of(answer: Answer) -> str:
    return "".join(item.text for item in answer.items if isinstance(item, Piece))


def ask(engine: LanguageModel, request: SlmRequest, cancel: Cancel) -> Answer:
    """Return the complete answer. Raises what it ended with."""
    answer = engine.submit(request, cancel)
    finish(engine, answer)
    if answer.error is not None:
        raise answer.error
    return answer


def pieces(
    engine: LlamaEngine, messages: tuple[Message, ...], cancel: Cancel, most: int = 30, begun: str = "", who: str = ""
) -> list[str]:
    request = SlmRequest("generate", messages, who, most, begun)
    return [item.text for item in ask(engine, request, cancel).items if isinstance(item, Piece)]


def reply(
    engine: LlamaEngine, messages: tuple[Message, ...], cancel: Cancel, most: int = 30, begun: str = "", who: str = ""
) -> str:
    return "".join(pieces(engine, messages, cancel, most, begun, who))


def prefill(engine: LlamaEngine, messages: tuple[Message, ...], cancel: Cancel, who: str = "") -> int:
    """Return how many tokens had to be computed."""
    (item,) = ask(engine, SlmRequest("prefill", messages, who), cancel).items
    assert isinstance(item, Computed)
    return item.tokens


def end_probability(engine: LlamaEngine, messages: tuple[Message, ...], cancel: Cancel, who: str = "") -> float:
    (item,) = ask(engine, SlmRequest("end", messages, who), cancel).items
    assert isinstance(item, Weighed)
    return item.probability


def tokens_held(engine: LlamaEngine, who: str = "") -> tuple[int, ...]:
    """Return what a session's slot holds."""
    (place,) = [place for place in engine._places if place.session == who]
    return place.slot.tokens


def held(engine: LlamaEngine, who: str = "") -> str:
    return b"".join(map(engine._weights.piece, tokens_held(engine, who))).decode()
