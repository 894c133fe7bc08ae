"""What is chosen: the likeliest token, or one by chance that the seed decides."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.sampling import Sampler
from voicebot.engines.llama.slot import Slot
from voicebot.engines.llama.weights import Weights
from voicebot.engines.protocols import Message
from voicebot.workers.flags import CancelFlag

MakeSlot = Callable[..., Slot]
Say = Callable[..., list[int]]


@pytest.fixture
def say(weights: Weights, make_slot: MakeSlot, cancel: CancelFlag) -> Say:
    """Return the tokens that settings make the model say; one slot serves all calls of a test."""
    slot = make_slot()
    story = weights.tokens(weights.render((Message("user", "Tell me a story."),), reply=True))

    def say(*, times: int = 1, **settings: float) -> list[int]:
        sampler = Sampler(SlmSettings(**settings), weights.vocabulary_size)  # type: ignore[arg-type]
        said: list[int] = []
        for _ in range(times):
            said.clear()
            sampler.reset()
            slot.advance_to(story, cancel)
            for _ in range(12):
                said.append(sampler.next_token(slot))
                slot.decode(said[-1:], cancel)
        sampler.close()
        return said

    return say


def test_without_temperature_it_is_the_likeliest_token(
    say: Say, weights: Weights, make_slot: MakeSlot, cancel: CancelFlag
) -> None:
    slot = make_slot()
    slot.advance_to(weights.tokens(weights.render((Message("user", "Tell me a story."),), reply=True)), cancel)
    said = say(repeat_penalty=1.0)
    assert said[0] == slot.probabilities().argmax()
    assert said == say(repeat_penalty=1.0) == say(repeat_penalty=1.0, seed=5)


def test_with_temperature_the_seed_decides(say: Say) -> None:
    same = [say(temperature=1.0, seed=1) for _ in range(2)]
    assert same[0] == same[1]
    assert len({tuple(say(temperature=1.0, seed=seed)) for seed in range(1, 5)}) > 1


def test_every_request_begins_at_the_seed(say: Say) -> None:
    assert say(temperature=1.0, seed=3, times=2) == say(temperature=1.0, seed=3)


def test_the_penalty_knows_how_the_reply_has_begun(weights: Weights, make_slot: MakeSlot, cancel: CancelFlag) -> None:
    """Going on after a beginning is as if it had been chosen here, which a prompt is not."""
    slot = make_slot()
    asked = weights.tokens(weights.render((Message("user", "Say yes, yes, yes forever."),), reply=True))
    begun = weights.tokens("yes, yes, yes, yes, yes, yes,", begin=False)
    sampler = Sampler(SlmSettings(repeat_penalty=2.0), weights.vocabulary_size)
    chosen = {}
    for known in ((), tuple(begun)):
        sampler.reset(known)
        slot.advance_to([*asked, *begun], cancel)
        chosen[known] = sampler.next_token(slot)
    sampler.close()
    assert chosen[()] in begun
    assert chosen[tuple(begun)] not in begun


def test_a_penalty_keeps_it_from_repeating_itself(weights: Weights, make_slot: MakeSlot, cancel: CancelFlag) -> None:
    slot = make_slot()
    asked = weights.render((Message("user", "Say yes, yes, yes forever."),), reply=True)
    chorus = weights.tokens(f"{asked}yes, yes, yes, yes, yes, yes,")
    different = {}
    for penalty in (1.0, 2.0):
        sampler = Sampler(SlmSettings(repeat_penalty=penalty), weights.vocabulary_size)
        slot.advance_to(chorus, cancel)
        said = []
        for _ in range(8):
            said.append(sampler.next_token(slot))
            slot.decode(said[-1:], cancel)
        different[penalty] = len(set(said))
        sampler.close()
    assert different[1.0] == 2  # the word and its comma
    assert different[2.0] > 4
