"""A slot holds exactly the tokens it was told to, computes no more than it must, and stops when it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from voicebot.engines.llama.slot import Slot
from voicebot.engines.llama.weights import Weights
from voicebot.engines.protocols import Message
from voicebot.errors import CancelledWorkError, EngineError
from voicebot.workers.flags import CancelFlag

MakeSlot = Callable[..., Slot]
SYSTEM = Message("system", "You are a helpful voice assistant. Answer in one short sentence.")


class NativeOnly:
    """A cancel that only native code can see."""

    def __init__(self, flag: CancelFlag) -> None:
        self.address = flag.address

    def requested(self) -> bool:
        return False

    def raise_if_requested(self) -> None:
        return


@pytest.fixture(scope="session")
def question(weights: Weights) -> list[int]:
    return weights.tokens(weights.render((SYSTEM, Message("user", "What is the capital of France?")), reply=True))


@pytest.fixture(scope="session")
def other_question(weights: Weights) -> list[int]:
    return weights.tokens(weights.render((SYSTEM, Message("user", "Tell me a story about a dog.")), reply=True))


@pytest.fixture(scope="session")
def much(weights: Weights) -> list[int]:
    return weights.tokens("The quick brown fox jumps over the lazy dog. " * 100)[:700]


def greedy(slot: Slot, count: int, cancel: CancelFlag) -> list[int]:
    said = []
    for _ in range(count):
        said.append(int(slot.probabilities().argmax()))
        slot.decode(said[-1:], cancel)
    return said


def test_only_what_differs_is_computed(
    make_slot: MakeSlot, question: list[int], other_question: list[int], cancel: CancelFlag
) -> None:
    slot = make_slot()
    assert slot.advance_to(question, cancel) == len(question)
    assert slot.advance_to(question, cancel) == 1  # the last one, for its logits
    assert slot.advance_to([*question, 30, 30], cancel) == 2
    assert slot.advance_to(question, cancel) == 1
    common = next(index for index, (a, b) in enumerate(zip(question, other_question, strict=False)) if a != b)
    assert common > 10
    assert slot.advance_to(other_question, cancel) == len(other_question) - common
    assert slot.tokens == tuple(other_question)


def test_what_comes_next_does_not_depend_on_the_way_there(
    make_slot: MakeSlot, question: list[int], other_question: list[int], cancel: CancelFlag
) -> None:
    fresh, used = make_slot(), make_slot()
    fresh.advance_to(question, cancel)
    used.advance_to(other_question, cancel)
    greedy(used, 5, cancel)
    used.advance_to(question[:20], cancel)
    used.roll_back(3)
    used.advance_to(question, cancel)
    assert used.tokens == fresh.tokens == tuple(question)
    np.testing.assert_allclose(used.probabilities(), fresh.probabilities(), atol=0.02)
    assert greedy(used, 8, cancel) == greedy(fresh, 8, cancel)


def test_probabilities_are_probabilities(
    make_slot: MakeSlot, weights: Weights, question: list[int], cancel: CancelFlag
) -> None:
    slot = make_slot()
    slot.advance_to(question, cancel)
    probabilities = slot.probabilities()
    assert probabilities.shape == (weights.vocabulary_size,)
    assert probabilities.min() >= 0
    assert probabilities.sum() == pytest.approx(1, abs=1e-3)


def test_a_running_prefill_is_stopped_by_the_flag_alone(
    make_slot: MakeSlot, question: list[int], much: list[int], cancel: CancelFlag
) -> None:
    fresh, slot = make_slot(), make_slot()
    fresh.advance_to(question, cancel)
    slot.advance_to(much[:3], cancel)
    requested_s = 0.0

    def request() -> None:
        nonlocal requested_s
        requested_s = time.monotonic()
        cancel.request()

    timer = threading.Timer(0.1, request)
    timer.start()
    with pytest.raises(CancelledWorkError):
        slot.advance_to(much, NativeOnly(cancel))
    stopped_s = time.monotonic() - requested_s
    timer.join()
    assert stopped_s < 3  # it takes a few milliseconds; the batch would have gone on for most of a second

    cancel.clear()
    assert slot.tokens == tuple(much[: len(slot.tokens)])  # what it says it holds ...
    kept = len(slot.tokens)
    assert kept < len(much)
    assert slot.advance_to(much[: kept + 9], cancel) == 9  # ... it holds
    slot.advance_to(question, cancel)
    np.testing.assert_allclose(slot.probabilities(), fresh.probabilities(), atol=0.02)
    assert greedy(slot, 8, cancel) == greedy(fresh, 8, cancel)


def test_what_a_stopped_prefill_kept_is_really_there(make_slot: MakeSlot, much: list[int], cancel: CancelFlag) -> None:
    class AtSecondBatch(NativeOnly):
        asked = 0

        def raise_if_requested(self) -> None:
            self.asked += 1
            if self.asked == 2:
                raise CancelledWorkError("the test cancels.")

    slot, fresh = make_slot(), make_slot()
    with pytest.raises(CancelledWorkError):
        slot.advance_to(much, AtSecondBatch(cancel))
    assert slot.tokens == tuple(much[:256])
    assert slot.advance_to(much[:264], cancel) == 8
    fresh.advance_to(much[:264], cancel)
    np.testing.assert_allclose(slot.probabilities(), fresh.probabilities(), atol=0.02)


def test_a_raised_flag_stops_the_first_batch(make_slot: MakeSlot, question: list[int], cancel: CancelFlag) -> None:
    slot = make_slot()
    slot.advance_to(question[:10], cancel)
    cancel.request()
    for wanted in (cancel, NativeOnly(cancel)):
        with pytest.raises(CancelledWorkError):
            slot.advance_to(question, wanted)
        assert slot.tokens == tuple(question[:10])


def test_more_than_the_context_is_refused_and_the_slot_goes_on(
    make_slot: MakeSlot, question: list[int], much: list[int], cancel: CancelFlag
) -> None:
    slot = make_slot(context_tokens=256)
    assert slot.capacity == 256
    with pytest.raises(EngineError, match="longer than the model's context"):
        slot.advance_to(much[:300], cancel)
    assert slot.advance_to(question, cancel) == len(question)
    assert greedy(slot, 3, cancel)
