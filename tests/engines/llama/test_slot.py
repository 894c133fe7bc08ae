"""A slot holds exactly what it says it holds, and gets to other tokens by computing no more than it must."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.engines.llama.talk import SYSTEM, alike, asking
from voicebot.engines.llama.context import BATCH_TOKENS, Context, Span
from voicebot.engines.llama.slot import Prefix, Slot
from voicebot.engines.llama.weights import Weights
from voicebot.engines.protocols import Message
from voicebot.errors import CancelledWorkError
from voicebot.workers.flags import CancelFlag

MakeContext = Callable[..., Context]
SCRATCH = 3
MARK = Message("system", "(Earlier parts are left out.)")


@pytest.fixture(scope="session")
def question(weights: Weights) -> list[int]:
    return weights.tokens(weights.render(asking("What is the capital of France?"), reply=True))


@pytest.fixture(scope="session")
def other_question(weights: Weights) -> list[int]:
    return weights.tokens(weights.render(asking("Tell me a story about a dog."), reply=True))


class Scene:
    """A context, and a slot in it."""

    def __init__(self, context: Context, cancel: CancelFlag) -> None:
        self.context = context
        self.slot = Slot(context, 0, SCRATCH)
        self.cancel = cancel

    def hold(self, wanted: Sequence[int], prefix: Prefix | None = None) -> int:
        """Make the slot hold the tokens; returns how many were computed."""
        left = self.slot.align(wanted, prefix, self.cancel.address, leave=1)
        while (begin := len(self.slot)) < len(wanted):
            tokens = wanted[begin : begin + BATCH_TOKENS]
            (row,) = self.context.decode([Span(0, begin, tokens, (len(tokens) - 1,))], self.cancel.address)
            self.slot.append(tokens)
            self.row = row + len(tokens) - 1
        assert self.slot.tokens == tuple(wanted)
        assert self.context.length(0) == len(wanted)
        assert self.context.length(SCRATCH) == 0
        return left

    @property
    def logits(self) -> NDArray[np.float32]:
        return self.context.logits(self.row).copy()


@pytest.fixture
def scene(make_context: MakeContext, cancel: CancelFlag) -> Scene:
    return Scene(make_context(), cancel)


@pytest.fixture
def fresh(make_context: MakeContext, cancel: CancelFlag) -> Scene:
    return Scene(make_context(), cancel)


def test_only_what_differs_is_computed(scene: Scene, question: list[int], other_question: list[int]) -> None:
    assert scene.hold(question) == len(question)
    assert scene.hold(question) == 1  # the last one, for its logits
    assert scene.hold([*question, 30, 30]) == 2
    assert scene.hold(question) == 1
    common = next(index for index, (a, b) in enumerate(zip(question, other_question, strict=False)) if a != b)
    assert common > 10
    assert scene.hold(other_question) == len(other_question) - common


def test_nothing_is_computed_for_what_is_held_and_not_asked_about(scene: Scene, question: list[int]) -> None:
    scene.hold(question)
    assert scene.slot.align(question[:9], None, scene.cancel.address, leave=0) == 0
    assert scene.slot.tokens == tuple(question[:9])


def test_what_comes_next_does_not_depend_on_the_way_there(
    scene: Scene, fresh: Scene, question: list[int], other_question: list[int]
) -> None:
    fresh.hold(question)
    scene.hold(other_question)
    scene.slot.roll_back(7)
    scene.hold(question[:20])
    scene.hold(question)
    assert alike(scene.logits, fresh.logits)
    assert scene.logits.argmax() == fresh.logits.argmax()


def test_a_prefix_is_taken_from_the_sequence_that_has_it(
    scene: Scene, fresh: Scene, question: list[int], other_question: list[int]
) -> None:
    prefix = Prefix(2, tuple(question[:15]))
    scene.context.decode([Span(2, 0, prefix.tokens)], scene.cancel.address)
    assert scene.hold(question, prefix) == len(question) - 15
    fresh.hold(question)
    assert alike(scene.logits, fresh.logits)
    common = next(index for index, (a, b) in enumerate(zip(question, other_question, strict=False)) if a != b)
    assert scene.hold(other_question, prefix) == len(other_question) - common  # it has more than the prefix
    scene.slot.clear()
    assert scene.hold([5, *question], prefix) == len(question) + 1
    assert scene.context.length(2) == 15


def conversation(weights: Weights, first: int, *, marked: bool = False) -> list[int]:
    exchanges = [
        Message(role, f"This is number {number}, and quite long for what it says.")
        for number in range(first, 14)
        for role in ("user", "assistant")
    ]
    return weights.tokens(weights.render((SYSTEM, *[MARK] * marked, *exchanges), reply=False))


def test_what_is_taken_out_of_the_middle_leaves_the_rest_as_it_is(scene: Scene, weights: Weights) -> None:
    whole = conversation(weights, 0)
    assert scene.hold(whole) == len(whole)
    shorter = conversation(weights, 2)
    assert scene.hold(shorter) == 1
    assert scene.hold([*conversation(weights, 5), 30]) == 1
    assert len(shorter) < len(whole)


def test_a_mark_is_put_where_something_was_taken_out(scene: Scene, fresh: Scene, weights: Weights) -> None:
    """Only the mark is computed, in the middle; and the model goes on almost as if it had read all of it anew."""
    scene.hold(conversation(weights, 0))
    marked = conversation(weights, 6, marked=True)
    assert scene.hold(marked) == 1
    fresh.hold(marked)
    assert np.corrcoef(scene.logits, fresh.logits)[0, 1] > 0.98
    assert scene.hold(conversation(weights, 8, marked=True)) == 1


def test_a_mark_that_is_cancelled_leaves_what_was_before_it(
    scene: Scene, fresh: Scene, weights: Weights, question: list[int]
) -> None:
    scene.hold(conversation(weights, 0))
    scene.cancel.request()
    with pytest.raises(CancelledWorkError):
        scene.hold(conversation(weights, 6, marked=True))
    scene.cancel.clear()
    kept = scene.slot.tokens
    assert kept == tuple(conversation(weights, 0)[: len(kept)])
    assert scene.context.length(0) == len(kept)
    scene.hold(question)
    fresh.hold(question)
    assert alike(scene.logits, fresh.logits)


def test_cells_that_others_have_too_are_never_moved(scene: Scene, weights: Weights) -> None:
    """A prefix that is shared can't be shortened in its middle: the others would lose it."""
    whole = conversation(weights, 0)
    prefix = Prefix(2, tuple(whole[:-20]))
    for begin in range(0, len(prefix.tokens), 200):
        scene.context.decode([Span(2, begin, prefix.tokens[begin : begin + 200])], scene.cancel.address)
    scene.hold(whole, prefix)
    shorter = conversation(weights, 4)
    assert scene.slot.align(shorter, prefix, scene.cancel.address, leave=1) > 200
    assert scene.context.length(2) == len(prefix.tokens)
