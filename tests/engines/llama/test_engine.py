"""The language model as the pipeline has it: replies, a full context, and whether a sentence is finished."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.engine import LlamaEngine
from voicebot.engines.protocols import Message
from voicebot.errors import CancelledWorkError, EngineError
from voicebot.workers.flags import CancelFlag

SYSTEM = Message("system", "You are a helpful voice assistant. Answer in one short sentence.")
FRANCE = (SYSTEM, Message("user", "What is the capital of France?"))
LONG = (
    SYSTEM,
    *(
        Message(role, f"This is exchange number {number}, and it is quite long for what it says.")
        for number in range(20)
        for role in ("user", "assistant")
    ),
    FRANCE[1],
)


@pytest.fixture(scope="module")
def engine(gguf: Path) -> Iterator[LlamaEngine]:
    engine = LlamaEngine(gguf, SlmSettings(context_tokens=256), threads=1, prefill_threads=2)
    yield engine
    engine.close()


def reply(engine: LlamaEngine, messages: tuple[Message, ...], cancel: CancelFlag, most: int = 30) -> str:
    return "".join(engine.generate(messages, most, cancel))


def held(engine: LlamaEngine) -> str:
    return b"".join(map(engine._weights.piece, engine._slot.tokens)).decode()


def test_it_answers(engine: LlamaEngine, cancel: CancelFlag) -> None:
    answer = reply(engine, FRANCE, cancel)
    assert "Paris" in answer
    assert reply(engine, FRANCE, cancel) == answer


def test_no_more_tokens_are_said_than_were_asked_for(engine: LlamaEngine, cancel: CancelFlag) -> None:
    pieces = list(engine.generate(FRANCE, 3, cancel))
    assert len(pieces) == 3
    assert reply(engine, FRANCE, cancel).startswith("".join(pieces))


def test_what_was_taken_in_before_is_not_computed_again(engine: LlamaEngine, cancel: CancelFlag) -> None:
    reply(engine, (Message("user", "Something else."),), cancel, 1)
    assert engine.prefill(FRANCE[:1], cancel) > 10
    assert 5 < engine.prefill(FRANCE, cancel) < 20
    assert engine.prefill(FRANCE, cancel) == 1


def test_a_full_context_loses_the_oldest_exchanges_and_keeps_the_instructions(
    engine: LlamaEngine, cancel: CancelFlag
) -> None:
    assert "Paris" in reply(engine, LONG, cancel)
    assert len(engine._slot.tokens) <= 256
    assert SYSTEM.content in held(engine)
    assert "number 0," not in held(engine)
    assert "number 19," in held(engine)


def test_a_full_context_is_not_computed_again_with_every_turn(engine: LlamaEngine, cancel: CancelFlag) -> None:
    conversation: tuple[Message, ...] = (SYSTEM,)
    computed = []
    for number in range(24):
        conversation += (Message("user", f"What is the number after {number}?"),)
        conversation += (Message("assistant", reply(engine, conversation, cancel)),)
        computed.append(engine.prefill(conversation, cancel))
    assert "number after 0?" not in held(engine)
    assert "number after 23?" in held(engine)
    # After a reply only the end of its message is new, also where each turn pushes an old one out.
    assert max(computed) < 20


def test_a_full_context_is_no_error_for_any_request(engine: LlamaEngine, cancel: CancelFlag) -> None:
    engine.prefill(LONG, cancel)
    assert len(engine._slot.tokens) <= 256
    assert engine.end_probability((*LONG[:-1], Message("user", "Remind me to")), cancel) < 0.01
    assert held(engine).endswith("user\nRemind me to")


def test_one_text_that_is_too_long_is_refused_in_one_sentence(engine: LlamaEngine, cancel: CancelFlag) -> None:
    long = (SYSTEM, Message("user", "again and " * 300))
    for request in (
        lambda: engine.prefill(long, cancel),
        lambda: reply(engine, long, cancel),
        lambda: engine.end_probability(long, cancel),
    ):
        with pytest.raises(EngineError, match=r"don't fit into a context of 256; .*slm\.context_tokens\.$"):
            request()
    assert "Paris" in reply(engine, FRANCE, cancel)


FINISHED = ["What is the capital of France", "Turn on the light", "What time is it", "Tell me a joke"]
UNFINISHED = ["What is the capital of", "Set a timer for", "Remind me to", "Could you please"]


def test_finished_sentences_are_told_from_unfinished_ones(engine: LlamaEngine, cancel: CancelFlag) -> None:
    def ends(text: str) -> float:
        return engine.end_probability((SYSTEM, Message("user", text)), cancel)

    assert min(map(ends, FINISHED)) > 10 * max(map(ends, UNFINISHED))


def test_the_probability_of_an_end_is_that_of_a_sentences_signs_and_of_the_messages_end(
    engine: LlamaEngine, cancel: CancelFlag
) -> None:
    signs = [engine._weights.tokens(sign, begin=False)[0] for sign in (".", "?", "!", "<|im_end|>")]
    for text in ("What is the capital of France", "What is the capital of"):
        found = engine.end_probability((SYSTEM, Message("user", text)), cancel)
        assert 0 <= found <= 1
        assert found == pytest.approx(engine._slot.probabilities()[signs].sum(), rel=0.02)


def test_what_was_weighed_is_the_beginning_of_what_is_answered(engine: LlamaEngine, cancel: CancelFlag) -> None:
    """Words without their last sign are prefilled to be weighed, and the answer goes on from there."""
    engine.end_probability((SYSTEM, Message("user", "What is the capital of France")), cancel)
    assert engine.prefill(FRANCE, cancel) <= 3


@pytest.mark.parametrize("known", [1, 3, 5])
def test_a_reply_that_was_begun_goes_on_as_it_would_have(engine: LlamaEngine, cancel: CancelFlag, known: int) -> None:
    pieces = list(engine.generate(FRANCE, 12, cancel))
    begun = "".join(pieces[:known])
    reply(engine, (Message("user", "Something else."),), cancel, 1)
    rest = "".join(engine.generate(FRANCE, 12 - known, cancel, begun))
    assert begun + rest == "".join(pieces)


def test_going_on_at_once_computes_only_what_is_new(engine: LlamaEngine, cancel: CancelFlag) -> None:
    pieces = list(engine.generate(FRANCE, 6, cancel))
    before = len(engine._slot.tokens)
    list(engine.generate(FRANCE, 3, cancel, "".join(pieces)))
    assert before <= len(engine._slot.tokens) <= before + 4


def test_a_reply_that_was_begun_has_room_for_the_rest_or_is_refused(engine: LlamaEngine, cancel: CancelFlag) -> None:
    with pytest.raises(EngineError, match="don't fit"):
        list(engine.generate(FRANCE, 100, cancel, "and again " * 200))


@pytest.mark.parametrize("text", ["end", "user", "im", "<|im_end|>", "a", "", " is "])
def test_whatever_was_said_is_what_is_continued(engine: LlamaEngine, cancel: CancelFlag, text: str) -> None:
    engine.end_probability((SYSTEM, Message("user", text)), cancel)
    rendered = engine._weights.tokens(f"<|im_start|>system\n{SYSTEM.content}<|im_end|>\n<|im_start|>user\n{text}")
    assert engine._slot.tokens == tuple(rendered)


def test_a_reply_is_cancelled_from_another_thread_and_the_next_is_as_ever(
    engine: LlamaEngine, cancel: CancelFlag
) -> None:
    expected = reply(engine, FRANCE, cancel)
    stream = engine.generate((SYSTEM, Message("user", "Tell me a long story.")), 200, cancel)
    next(stream)
    timer = threading.Timer(0.05, cancel.request)
    timer.start()
    with pytest.raises(CancelledWorkError):
        for _ in stream:
            pass
    timer.join()
    cancel.clear()
    assert reply(engine, FRANCE, cancel) == expected


def test_a_reply_that_nobody_reads_on_disturbs_nothing(engine: LlamaEngine, cancel: CancelFlag) -> None:
    expected = reply(engine, FRANCE, cancel)
    stream = engine.generate(FRANCE, 30, cancel)
    next(stream)
    del stream
    assert reply(engine, FRANCE, cancel) == expected


def test_a_context_without_memory_is_refused(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicebot.engines.llama.slot.llama_cpp.llama_init_from_model", lambda *_: None)
    with pytest.raises(EngineError, match=r"no memory for a context of 512 tokens; choose a smaller one\.$"):
        LlamaEngine(gguf, SlmSettings(context_tokens=512), threads=1, prefill_threads=1)
