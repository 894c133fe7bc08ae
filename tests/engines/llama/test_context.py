"""Sequences share one pool of cells, and what one computes changes nothing of what another one says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.llama.talk import alike, asking
from voicebot.engines.llama.context import Context, Span
from voicebot.engines.llama.weights import Weights
from voicebot.errors import CancelledWorkError, EngineError
from voicebot.workers.flags import CancelFlag

MakeContext = Callable[..., Context]


@pytest.fixture(scope="session")
def question(weights: Weights) -> list[int]:
    return weights.tokens(weights.render(asking("What is the capital of France?"), reply=True))


@pytest.fixture(scope="session")
def other_question(weights: Weights) -> list[int]:
    return weights.tokens(weights.render(asking("Tell me a story about a dog."), reply=True))


def read(context: Context, sequence: int, tokens: Sequence[int], cancel: CancelFlag, begin: int = 0) -> None:
    context.decode([Span(sequence, begin, tokens)], cancel.address)


def after(context: Context, sequence: int, tokens: Sequence[int], cancel: CancelFlag) -> NDArray[np.float32]:
    """Return the logits after all of the tokens, which the sequence does not have yet."""
    last = len(tokens) - 1
    (row,) = context.decode([Span(sequence, 0, tokens, (last,))], cancel.address)
    return context.logits(row + last).copy()


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_several_sequences_in_one_step_are_as_each_alone(
    make_context: MakeContext, question: list[int], other_question: list[int], cancel: CancelFlag, kv_type: str
) -> None:
    context = make_context(kv_type=kv_type)
    both = (question, other_question)
    alone = [after(make_context(kv_type=kv_type), 0, tokens, cancel) for tokens in both]
    spans = [Span(sequence, 0, tokens, (len(tokens) - 1,)) for sequence, tokens in enumerate(both, 1)]
    rows = context.decode(spans, cancel.address)
    for row, tokens, expected in zip(rows, both, alone, strict=True):
        together = context.logits(row + len(tokens) - 1)
        assert alike(together, expected)
        assert kv_type == "f16" or (together == expected).all()  # it adds up in single precision
    assert rows == [0, len(question)]
    assert [context.length(sequence) for sequence in range(4)] == [0, len(question), len(other_question), 0]


def test_any_token_of_a_span_may_be_asked_about(
    make_context: MakeContext, question: list[int], cancel: CancelFlag
) -> None:
    context = make_context()
    (row,) = context.decode([Span(0, 0, question, (5, 9))], cancel.address)
    for length in (6, 10):
        expected = after(make_context(), 0, question[:length], cancel)
        assert alike(context.logits(row + length - 1), expected)


def test_a_prefix_is_shared_and_each_goes_on_by_itself(
    make_context: MakeContext, question: list[int], cancel: CancelFlag
) -> None:
    context = make_context()
    half = len(question) // 2
    read(context, 0, question[:half], cancel)
    context.share(0, 1, 0)
    context.forget(0, 0)
    assert (context.length(0), context.length(1)) == (0, half)
    (row,) = context.decode([Span(1, half, question[half:], (len(question) - half - 1,))], cancel.address)
    assert alike(context.logits(row + len(question) - half - 1), after(make_context(), 0, question, cancel))


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_a_sequence_is_saved_and_loaded(
    make_context: MakeContext, question: list[int], cancel: CancelFlag, kv_type: str
) -> None:
    first, second = make_context(kv_type=kv_type), make_context(kv_type=kv_type)
    read(first, 0, question[:-1], cancel)
    state = first.save(0)
    assert second.load(2, state)
    assert second.length(2) == len(question) - 1
    spans = [Span(sequence, len(question) - 1, question[-1:], (0,)) for sequence in (0, 2)]
    rows = [context.decode([span], cancel.address)[0] for context, span in zip((first, second), spans, strict=True)]
    np.testing.assert_array_equal(first.logits(rows[0]), second.logits(rows[1]))
    assert not second.load(3, state[: len(state) // 2])


def test_a_running_step_is_stopped_by_the_flag_alone(
    make_context: MakeContext, question: list[int], much: list[int], cancel: CancelFlag
) -> None:
    context = make_context()
    read(context, 0, much[:3], cancel)
    requested_s = 0.0

    def request() -> None:
        nonlocal requested_s
        requested_s = time.monotonic()
        cancel.request()

    timer = threading.Timer(0.05, request)
    timer.start()
    spans = [Span(0, begin, much[begin : begin + 200]) for begin in range(3, 700, 200)]
    with pytest.raises(CancelledWorkError):
        any(context.decode([span], cancel.address) != [0] for span in spans)
    stopped_s = time.monotonic() - requested_s
    timer.join()
    assert stopped_s < 3  # it takes a few milliseconds

    cancel.clear()
    held = context.length(0)
    assert held in {3, 203, 403, 603}  # of the step that was stopped nothing is left
    read(context, 0, much[held : held + 5], cancel, held)
    expected = after(make_context(), 0, question, cancel)
    assert alike(after(context, 1, question, cancel), expected)


def test_more_than_the_pool_is_refused_and_the_rest_goes_on(
    make_context: MakeContext, question: list[int], much: list[int], cancel: CancelFlag
) -> None:
    context = make_context(cells=256)
    read(context, 0, question, cancel)
    with pytest.raises(EngineError, match="longer than the model's context"):
        read(context, 1, much[:250], cancel)
    assert [context.length(sequence) for sequence in range(2)] == [len(question), 0]
    read(context, 1, question, cancel)


def test_a_pool_without_memory_is_refused(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicebot.engines.llama.context.llama_cpp.llama_init_from_model", lambda *_: None)
    with pytest.raises(EngineError, match=r"no memory for a context of 512 tokens; choose a smaller one\.$"):
        Context(weights, 512, 1, threads=1, prefill_threads=1)
