"""Guesses make replies that repeat something quicker, and change no word of any reply."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.llama.talk import FRANCE, SYSTEM, ask, asking, finish, reply, text_of
from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.draft_length import StepCosts
from voicebot.engines.llama.drafts import Draft
from voicebot.engines.llama.engine import LlamaEngine
from voicebot.engines.llama.guesses import Guesses
from voicebot.engines.llama.speculation import Speculation
from voicebot.engines.llama.weights import Weights
from voicebot.engines.protocols import Message, SlmRequest, Tool
from voicebot.workers.flags import CancelFlag, CancelFlags

LIST = "eggs, brown bread, two pints of milk, a dozen apples, washing powder, olive oil and a bag of flour"
SHOPPING = (
    SYSTEM,
    Message("user", f"Put this on my shopping list: {LIST}."),
    Message("assistant", f"Your shopping list is: {LIST}."),
    Message("user", "Read my shopping list back to me."),
)
CHAT = [SHOPPING, FRANCE, asking("Tell me a story about a dog."), asking("Why is the sky blue?")]


def cheap() -> StepCosts:
    """Return what a step costs on a box where memory is the bottleneck: hardly more for more tokens."""
    costs = StepCosts()
    for tokens in (1, 2, 4, 8, 16, 32):
        for _ in range(20):
            costs.observe(tokens, 30 + 0.1 * tokens)
    return costs


def steep() -> StepCosts:
    costs = StepCosts()
    for tokens in (1, 2, 4, 8, 16, 32):
        for _ in range(20):
            costs.observe(tokens, 10.0 * tokens)
    return costs


def unmoved(costs: StepCosts) -> StepCosts:
    """Return costs that learn nothing more, since here a step takes whatever it takes."""
    costs.observe = _learn_nothing  # type: ignore[method-assign]
    return costs


def _learn_nothing(tokens: int, ms: float) -> None:
    del tokens, ms


def speculating(gguf: Path, costs: StepCosts, monkeypatch: pytest.MonkeyPatch, **settings: object) -> LlamaEngine:
    monkeypatch.setattr("voicebot.engines.llama.engine.StepCosts", lambda: unmoved(costs))
    # The cells of this type are added up in single precision, so that a batch rounds as one token does.
    chosen = SlmSettings.model_validate({"context_tokens": 512, "slots": 3, "kv_type": "q8_0", **settings})
    return LlamaEngine(gguf, chosen, 1, 2)


@pytest.fixture
def plain(gguf: Path) -> Iterator[LlamaEngine]:
    engine = LlamaEngine(gguf, SlmSettings(context_tokens=512, slots=3, kv_type="q8_0", speculation=False), 1, 2)
    yield engine
    engine.close()


def test_the_text_is_that_of_plain_decoding(
    gguf: Path, plain: LlamaEngine, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = speculating(gguf, cheap(), monkeypatch)
    for messages in CHAT:
        assert reply(engine, messages, cancel, 60) == reply(plain, messages, cancel, 60)
    assert engine.speculation.accepted["ngram"] > 20
    assert not plain.speculation.proposed
    engine.close()


def test_a_reply_that_repeats_something_takes_a_few_steps(
    gguf: Path, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps(engine: LlamaEngine) -> tuple[int, int]:
        answer = engine.submit(SlmRequest("generate", SHOPPING, "", 40), cancel)
        count = 0
        while not answer.ended:
            engine.step()
            count += 1
        engine.close()
        return count, len(answer.items)

    count, tokens = steps(speculating(gguf, cheap(), monkeypatch))
    assert count < tokens / 2
    count, tokens = steps(speculating(gguf, steep(), monkeypatch))
    assert count >= tokens


def test_what_was_said_before_is_guessed_in_another_session(
    gguf: Path, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = speculating(gguf, cheap(), monkeypatch)
    said = reply(engine, CHAT[2], cancel, 40)
    again = ask(engine, SlmRequest("generate", CHAT[2], "somebody else", 40), cancel)
    assert text_of(again) == said
    assert engine.speculation.accepted["phrases"] > 10
    engine.close()


def test_drafts_of_several_sessions_are_verified_in_one_batch(
    gguf: Path, plain: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = speculating(gguf, cheap(), monkeypatch)
    flags = CancelFlags.create()
    expected = [reply(plain, messages, flags[0], 30) for messages in CHAT[:3]]
    answers = [
        engine.submit(SlmRequest("generate", messages, f"s{index}", 30), flags[index])
        for index, messages in enumerate(CHAT[:3])
    ]
    finish(engine, *answers)
    # Where the cells of several sessions alternate, sums are in another order, which may turn a later word.
    assert [text_of(answer)[:20] for answer in answers] == [text[:20] for text in expected]
    assert engine.speculation.accepted.total() > 10
    engine.close()
    flags.close()


def test_the_slot_holds_nothing_of_what_was_refused(
    gguf: Path, plain: LlamaEngine, cancel: CancelFlag, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = speculating(gguf, cheap(), monkeypatch)
    for messages in CHAT:
        reply(engine, messages, cancel, 50)
        reply(plain, messages, cancel, 50)
        (mine,), (other,) = ([place for place in each._places if place.session == ""] for each in (engine, plain))
        shorter = len(other.slot)  # a guessed end of the reply is held, and one that was not guessed is not
        assert mine.slot.tokens[:shorter] == other.slot.tokens
        assert len(mine.slot) <= shorter + 1
        assert engine._context.length(mine.slot.sequence) == len(mine.slot)
    engine.close()


def test_a_guess_ends_with_a_sentence_and_is_as_sure_as_what_the_sentence_shows(gguf: Path) -> None:
    """Whoever quotes often stops at the end of one, and what begins anew may be anything."""
    weights = Weights(gguf)
    speculation = Speculation(weights, unmoved(cheap()))
    said = weights.tokens("The cat is at home. The dog is in the old garden. ", begin=False)
    sentence = said[said.index(weights.tokens(".", begin=False)[0]) + 1 :]

    def guess(shown: list[int]) -> Draft:
        history = [*said, *said[: len(said) - len(sentence)], *shown]
        return speculation.draft(speculation.guessers(0), Guesses(), history, 0, 15, 0)

    inside, at_its_begin = guess(sentence[:3]), guess([])
    assert weights.piece(inside.tokens[-1]) != b"."  # a first guess is a short one
    assert (inside.match_length, at_its_begin.match_length) == (3, 2)
    assert guess(sentence[:6]).tokens == tuple(sentence[6 : sentence.index(said[len(said) - len(sentence) - 1]) + 1])
    weights.close()


def test_sentences_that_are_said_often_are_known_after_a_restart(
    gguf: Path, tmp_path: Path, cancel: CancelFlag
) -> None:
    settings = SlmSettings(context_tokens=512, slots=2)
    engine = LlamaEngine(gguf, settings, 1, 2, cache=tmp_path)
    said = reply(engine, FRANCE, cancel)
    for _ in range(2):
        reply(engine, FRANCE, cancel)
    engine.close()
    assert said.strip() in (tmp_path / "phrases.json").read_text()
    again = LlamaEngine(gguf, settings, 1, 2, cache=tmp_path)
    assert again.speculation._phrases.length > 5
    again.close()
    without = LlamaEngine(gguf, settings.model_copy(update={"phrase_book": False}), 1, 2, cache=tmp_path)
    assert without.speculation._phrases.length == 0
    without.close()


def test_what_nobody_hears_is_no_phrase(gguf: Path, tmp_path: Path, cancel: CancelFlag) -> None:
    """A summary names what is personal, and so do a call's arguments."""
    engine = LlamaEngine(gguf, SlmSettings(context_tokens=512, slots=2), 1, 2, cache=tmp_path)
    label = {"type": "object", "properties": {"label": {"type": "string", "maxLength": 20}}, "required": ["label"]}
    timer = Tool("set_timer", "Sets a timer.", label)
    for _ in range(3):
        ask(engine, SlmRequest("generate", FRANCE, "a/summary", 30, spoken=False), cancel)
        ask(engine, SlmRequest("generate", FRANCE, "a", 30, tools=(timer,)), cancel)
    assert engine.speculation._phrases.length == 0
    assert not (tmp_path / "phrases.json").exists()
    engine.close()
