"""The serving engine: replies, sessions beside each other, a full context, and whether a sentence is finished."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.llama.talk import (
    FRANCE,
    SYSTEM,
    ask,
    asking,
    end_probability,
    finish,
    held,
    pieces,
    prefill,
    reply,
    text_of,
    tokens_held,
)
from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.engine import LlamaEngine
from voicebot.engines.protocols import Message, Piece, SlmRequest, Tool, ToolCall, Weighed
from voicebot.errors import CancelledWorkError, EngineError
from voicebot.workers.flags import CancelFlag, CancelFlags

LONG = (
    SYSTEM,
    *(
        Message(role, f"This is exchange number {number}, and it is quite long for what it says.")
        for number in range(20)
        for role in ("user", "assistant")
    ),
    FRANCE[1],
)
QUESTIONS = [asking(text) for text in ("What is rain?", "Who was Napoleon?", "What is a lake?", "Name three colors.")]


@pytest.fixture(scope="module")
def engine(gguf: Path) -> Iterator[LlamaEngine]:
    engine = LlamaEngine(gguf, SlmSettings(context_tokens=256, slots=4), threads=1, prefill_threads=2)
    yield engine
    engine.close()


@pytest.fixture
def flags() -> Iterator[CancelFlags]:
    flags = CancelFlags.create()
    yield flags
    flags.close()


def test_it_answers(engine: LlamaEngine, cancel: CancelFlag) -> None:
    answer = reply(engine, FRANCE, cancel)
    assert "Paris" in answer
    assert reply(engine, FRANCE, cancel) == answer


def test_no_more_tokens_are_said_than_were_asked_for(engine: LlamaEngine, cancel: CancelFlag) -> None:
    few = pieces(engine, FRANCE, cancel, 3)
    assert len(few) == 3
    assert reply(engine, FRANCE, cancel).startswith("".join(few))
    assert pieces(engine, FRANCE, cancel, 0) == []


def test_what_was_taken_in_before_is_not_computed_again(engine: LlamaEngine, cancel: CancelFlag) -> None:
    reply(engine, (Message("user", "Something else."),), cancel, 1)
    prefill(engine, FRANCE[:1], cancel)
    assert 5 < prefill(engine, FRANCE, cancel) < 20
    assert prefill(engine, FRANCE, cancel) == 0


def test_the_system_prompt_is_computed_once_for_all(engine: LlamaEngine, cancel: CancelFlag) -> None:
    assert prefill(engine, FRANCE[:1], cancel, who="new") == 0
    assert prefill(engine, (Message("system", "Be brief."), FRANCE[1]), cancel, who="another") > 10


def test_a_full_context_loses_the_oldest_exchanges_and_keeps_the_instructions(
    engine: LlamaEngine, cancel: CancelFlag
) -> None:
    assert "Paris" in reply(engine, LONG, cancel)
    assert len(tokens_held(engine)) <= 256
    assert SYSTEM.content in held(engine)
    assert "number 0," not in held(engine)
    assert "number 19," in held(engine)


def test_a_full_context_is_not_computed_again_with_every_turn(engine: LlamaEngine, cancel: CancelFlag) -> None:
    conversation: tuple[Message, ...] = (SYSTEM,)
    computed = []
    for number in range(24):
        conversation += (Message("user", f"What is the number after {number}?"),)
        conversation += (Message("assistant", reply(engine, conversation, cancel)),)
        computed.append(prefill(engine, conversation, cancel))
    assert "number after 0?" not in held(engine)
    assert "number after 23?" in held(engine)
    # After a reply only the end of its message is new, also where a turn pushes old ones out.
    assert max(computed) < 20


def test_a_full_context_is_no_error_for_any_request(engine: LlamaEngine, cancel: CancelFlag) -> None:
    prefill(engine, LONG, cancel)
    assert len(tokens_held(engine)) <= 256
    assert end_probability(engine, (*LONG[:-1], Message("user", "Remind me to")), cancel) < 0.01
    assert held(engine).endswith("user\nRemind me to")


def test_one_text_that_is_too_long_is_refused_in_one_sentence(engine: LlamaEngine, cancel: CancelFlag) -> None:
    long = (SYSTEM, Message("user", "again and " * 300))
    for request in (SlmRequest("prefill", long), SlmRequest("generate", long, "", 30), SlmRequest("end", long)):
        with pytest.raises(EngineError, match=r"don't fit into a context of 256; .*slm\.context_tokens\.$"):
            ask(engine, request, cancel)
    assert "Paris" in reply(engine, FRANCE, cancel)


FINISHED = ["What is the capital of France", "Turn on the light", "What time is it", "Tell me a joke"]
UNFINISHED = ["What is the capital of", "Set a timer for", "Remind me to", "Could you please"]


def test_finished_sentences_are_told_from_unfinished_ones(engine: LlamaEngine, cancel: CancelFlag) -> None:
    def ends(text: str) -> float:
        return end_probability(engine, asking(text), cancel)

    assert min(map(ends, FINISHED)) > 10 * max(map(ends, UNFINISHED))


def test_what_was_weighed_is_the_beginning_of_what_is_answered(engine: LlamaEngine, cancel: CancelFlag) -> None:
    """Words without their last sign are prefilled to be weighed, and the answer goes on from there."""
    end_probability(engine, asking("What is the capital of France"), cancel)
    assert prefill(engine, FRANCE, cancel) <= 3


def test_a_sentence_is_weighed_in_passing_while_its_answer_is_prepared(engine: LlamaEngine, flags: CancelFlags) -> None:
    alone = end_probability(engine, asking("What is the capital of France"), flags[0], who="a")
    expected = reply(engine, FRANCE, flags[0], who="a")
    weighing = engine.submit(SlmRequest("end", asking("What is the capital of France"), "b"), flags[1])
    replying = engine.submit(SlmRequest("generate", FRANCE, "b", 30), flags[2])
    engine.step()
    assert weighing.ended
    assert len(replying.items) == 1  # both are there after one batch
    (item,) = weighing.items
    assert isinstance(item, Weighed)
    assert item.probability == pytest.approx(alone, rel=0.5)
    finish(engine, replying)
    assert text_of(replying) == expected


@pytest.mark.parametrize("known", [1, 3, 5])
def test_a_reply_that_was_begun_goes_on_as_it_would_have(engine: LlamaEngine, cancel: CancelFlag, known: int) -> None:
    whole = pieces(engine, FRANCE, cancel, 12)
    begun = "".join(whole[:known])
    reply(engine, (Message("user", "Something else."),), cancel, 1)
    assert begun + reply(engine, FRANCE, cancel, 12 - known, begun) == "".join(whole)


def test_going_on_at_once_computes_only_what_is_new(engine: LlamaEngine, cancel: CancelFlag) -> None:
    begun = reply(engine, FRANCE, cancel, 6)
    before = len(tokens_held(engine))
    reply(engine, FRANCE, cancel, 3, begun)
    assert before <= len(tokens_held(engine)) <= before + 4


def test_a_reply_that_was_begun_has_room_for_the_rest_or_is_refused(engine: LlamaEngine, cancel: CancelFlag) -> None:
    with pytest.raises(EngineError, match="don't fit"):
        reply(engine, FRANCE, cancel, 100, "and again " * 200)


def test_a_reply_is_cancelled_from_another_thread_and_the_next_is_as_ever(
    engine: LlamaEngine, cancel: CancelFlag
) -> None:
    expected = reply(engine, FRANCE, cancel)
    answer = engine.submit(SlmRequest("generate", asking("Tell me a long story."), "", 150), cancel)
    while not answer.items:
        engine.step()
    timer = threading.Timer(0.05, cancel.request)
    timer.start()
    finish(engine, answer)
    timer.join()
    assert isinstance(answer.error, CancelledWorkError)
    cancel.clear()
    assert reply(engine, FRANCE, cancel) == expected


def test_several_sessions_are_answered_together_as_each_alone(engine: LlamaEngine, flags: CancelFlags) -> None:
    """But for rounding, which may turn one word in a long reply; the first ones are sure."""
    alone = [reply(engine, messages, flags[0], 8, who="alone") for messages in QUESTIONS]
    answers = [
        engine.submit(SlmRequest("generate", messages, f"s{index}", 8), flags[index])
        for index, messages in enumerate(QUESTIONS)
    ]
    steps = 0
    while not all(answer.ended for answer in answers):
        engine.step()
        steps += 1
    assert steps <= 9
    assert [text_of(answer)[:15] for answer in answers] == [text[:15] for text in alone]


def test_one_that_is_cancelled_takes_nothing_from_the_others(gguf: Path, flags: CancelFlags) -> None:
    engine = LlamaEngine(gguf, SlmSettings(context_tokens=256), 1, 2, alarm=flags.alarm)
    expected = reply(engine, QUESTIONS[1], flags[1], 20, who="b")
    first, second = (
        engine.submit(SlmRequest("generate", messages, who, 20), flags[index])
        for index, (messages, who) in enumerate(((QUESTIONS[0], "a"), (QUESTIONS[1], "b")))
    )
    for _ in range(4):
        engine.step()

    def give_up() -> None:
        flags[0].request()
        flags.alarm.request()

    timer = threading.Timer(0.01, give_up)  # most likely in the middle of a step
    timer.start()
    finish(engine, first, second)
    timer.join()
    assert isinstance(first.error, CancelledWorkError)
    assert second.error is None
    assert text_of(second)[:15] == expected[:15]
    flags[0].clear()
    assert text_of(ask(engine, SlmRequest("generate", QUESTIONS[0], "a", 20), flags[0])).startswith(text_of(first)[:9])
    engine.close()


def test_more_sessions_than_places_wait_for_their_turn(engine: LlamaEngine, flags: CancelFlags) -> None:
    answers = [
        engine.submit(SlmRequest("generate", QUESTIONS[index % 4], f"many-{index}", 4), flags[index])
        for index in range(10)
    ]
    finish(engine, *answers)
    assert all(answer.error is None and text_of(answer) for answer in answers)
    assert not engine.busy


def test_a_place_that_changes_hands_keeps_nothing_but_the_instructions(engine: LlamaEngine, cancel: CancelFlag) -> None:
    reply(engine, FRANCE, cancel, who="first")
    for index in range(4):
        assert prefill(engine, FRANCE, cancel, who=f"other-{index}") >= 7


def test_requests_of_one_session_are_answered_in_order(engine: LlamaEngine, flags: CancelFlags) -> None:
    first = engine.submit(SlmRequest("generate", FRANCE, "one", 6), flags[0])
    second = engine.submit(SlmRequest("generate", QUESTIONS[0], "one", 6), flags[1])
    while not first.ended:
        assert not second.items
        engine.step()
    finish(engine, second)
    assert text_of(second)


def test_waiting_requests_can_be_cancelled(engine: LlamaEngine, flags: CancelFlags) -> None:
    answers = [engine.submit(SlmRequest("generate", FRANCE, f"w{index}", 6), flags[index]) for index in range(6)]
    flags[5].request()
    engine.step()
    assert isinstance(answers[5].error, CancelledWorkError)
    finish(engine, *answers)


def test_pieces_come_with_their_probability_where_it_is_wanted(engine: LlamaEngine, cancel: CancelFlag) -> None:
    sure = ask(engine, SlmRequest("generate", FRANCE, "", 6, confidence=True), cancel).items
    logprobs = [item.logprob for item in sure if isinstance(item, Piece)]
    assert all(logprob is not None and -10 < logprob <= 0 for logprob in logprobs)
    unasked = ask(engine, SlmRequest("generate", FRANCE, "", 6), cancel).items
    assert {item.logprob for item in unasked if isinstance(item, Piece)} == {None}


def test_a_reply_may_be_a_tool_call(engine: LlamaEngine, cancel: CancelFlag) -> None:
    minutes = {"type": "integer", "minimum": 1, "maximum": 600}
    timer = Tool("set_timer", "Sets a timer.", {"type": "object", "properties": {"m": minutes}, "required": ["m"]})
    request = SlmRequest("generate", asking("Set a timer."), "", 60, tools=(timer,), must_call=True)
    first = ask(engine, request, cancel).items[0]
    assert isinstance(first, ToolCall)
    assert first.name == "set_timer"
    assert 1 <= first.arguments["m"] <= 600


def test_the_processors_time_is_charged_to_who_caused_it(engine: LlamaEngine, flags: CancelFlags) -> None:
    short = engine.submit(SlmRequest("generate", FRANCE, "short", 2), flags[0])
    long = engine.submit(SlmRequest("generate", QUESTIONS[0], "long", 20), flags[1])
    finish(engine, short, long)
    assert 0 < short.cpu_s < long.cpu_s


def test_the_system_prompt_is_kept_between_lives(gguf: Path, tmp_path: Path, cancel: CancelFlag) -> None:
    settings = SlmSettings(context_tokens=256, slots=1)
    first = LlamaEngine(gguf, settings, 1, 2, cache=tmp_path)
    while first.rest():
        pass
    expected = reply(first, FRANCE, cancel)
    first.close()
    (kept,) = (tmp_path / "prefixes").iterdir()
    for damage in (False, True):
        if damage:
            kept.write_bytes(kept.read_bytes()[:-100])
        again = LlamaEngine(gguf, settings, 1, 2, cache=tmp_path)
        assert prefill(again, FRANCE[:1], cancel) == 0
        assert reply(again, FRANCE, cancel) == expected
        again.close()


def test_resting_ends_also_where_nothing_can_be_kept(
    gguf: Path, tmp_path: Path, flags: CancelFlags, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    flags.alarm.request()  # by whoever cancelled the last request
    engine = LlamaEngine(gguf, SlmSettings(context_tokens=256, slots=1), 1, 2, tmp_path / "file", flags.alarm)
    for _ in range(2):
        assert sum(1 for _ in iter(engine.rest, False)) < 20
    assert caplog.text.count("state is not kept") == 1
    engine.close()


def test_no_conversation_is_an_error_of_the_request(engine: LlamaEngine, cancel: CancelFlag) -> None:
    with pytest.raises(EngineError, match="no conversation"):
        prefill(engine, (), cancel)


def test_a_reply_that_fails_takes_no_other_with_it(
    engine: LlamaEngine, flags: CancelFlags, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = reply(engine, QUESTIONS[1], flags[0], 8, who="b")
    first, second = (
        engine.submit(SlmRequest("generate", messages, who, 8), flags[index])
        for index, (messages, who) in enumerate(((QUESTIONS[0], "a"), (QUESTIONS[1], "b")))
    )
    engine.step()
    doomed = next(place for place in engine._places if place.session == "a").jobs[0].reply
    assert doomed is not None

    def fail(logits: object) -> int:
        del logits
        raise EngineError("the grammar allows no token here.")

    monkeypatch.setattr(doomed.sampler, "sample", fail)
    finish(engine, first, second)
    assert isinstance(first.error, EngineError)
    assert second.error is None
    assert text_of(second)[:15] == expected[:15]
    assert text_of(ask(engine, SlmRequest("generate", QUESTIONS[0], "a", 4), flags[0]))
