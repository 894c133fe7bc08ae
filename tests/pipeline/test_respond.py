"""A reply as it streams: cut into clauses, made speakable, and closed when nobody wants it any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest

from tests.virtual_conversation import CLOCK, tasks_left
from voicebot.clock import run_virtual
from voicebot.engines.protocols import Message
from voicebot.engines.scripted import ScriptedSynthesizer
from voicebot.errors import EngineError
from voicebot.latency.work import Work, WorkLedger
from voicebot.pipeline.channel import Channel
from voicebot.pipeline.draft import Draft
from voicebot.pipeline.respond import respond
from voicebot.turn.chunker import ClauseRules
from voicebot.workers.inline import InlineTts

RULES = ClauseRules(first_letters=8, first_words=10, later_words=26, open_words=frozenset({("of",)}))
QUESTION = (Message("user", "Who are you?"),)


class Writer:
    """Streams the given pieces at a pace, and knows whether it was closed."""

    def __init__(self, *pieces: str, each_s: float = 0.0, fails_after: int | None = None) -> None:
        self.asked: list[tuple[tuple[Message, ...], int]] = []
        self.written = 0
        self.closed = False
        self._pieces = pieces
        self._each_s = each_s
        self._fails_after = fails_after

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        return len(messages)

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        return float(len(messages))

    async def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        assert not begun
        self.asked.append((messages, max_tokens))
        try:
            for piece in self._pieces:
                if self.written == self._fails_after:
                    raise EngineError("the writer failed.")
                await CLOCK.sleep_s(self._each_s)
                self.written += 1
                yield piece
        finally:
            self.closed = True


class Reply:
    """What came of one response, and when each mark was made."""

    def __init__(self, writer: Writer, max_tokens: int = 60, capacity: int = 100) -> None:
        self.clauses = Channel[str](capacity)
        self.marks: list[tuple[str, float]] = []
        self._writer = writer
        self._max_tokens = max_tokens

    def work(self) -> Coroutine[Any, Any, None]:
        draft = Draft(self._writer, InlineTts(ScriptedSynthesizer(), CLOCK), "Who are you?", Work(WorkLedger()))
        return respond(draft, QUESTION, self._max_tokens, RULES, self.clauses, self._mark)

    def _mark(self, name: str) -> None:
        self.marks.append((name, CLOCK.now_s()))


def streamed(writer: Writer, max_tokens: int = 60) -> list[str]:
    async def main() -> list[str]:
        reply = Reply(writer, max_tokens)
        await reply.work()
        return [clause async for clause in reply.clauses]

    return run_virtual(main())


def words(text: str) -> list[str]:
    return [word if index == 0 else f" {word}" for index, word in enumerate(text.split(" "))]


def test_a_reply_is_cut_into_clauses_and_the_channel_is_closed() -> None:
    writer = Writer(*words("Well then, my name is Bot. I live in a box. I like it."))
    assert streamed(writer) == ["Well then,", "my name is Bot.", "I live in a box.", "I like it."]
    assert writer.asked == [(QUESTION, 60)]
    assert writer.closed


def test_markup_is_not_spoken_and_what_has_no_words_is_left_out() -> None:
    text = "**Certainly, here** it is.\n- one [link](http://example.org)\n\n---\n"
    assert streamed(Writer(text)) == ["Certainly,", "here it is.", "one link"]


@pytest.mark.parametrize("pieces", [(), ("",), (" ", "\n"), ("**", "...")])
def test_a_reply_without_words_has_no_clauses(pieces: tuple[str, ...]) -> None:
    assert streamed(Writer(*pieces)) == []


def test_a_reply_that_runs_out_of_tokens_ends_with_a_sentence_if_it_can() -> None:
    text = words("This is the first sentence. This is only the begin of")
    assert streamed(Writer(*text), len(text)) == ["This is the first sentence."]
    assert streamed(Writer(*text), len(text) + 1)[-1] == "This is only the begin of"


def test_a_reply_that_runs_out_of_tokens_in_its_only_sentence_ends_after_a_word_it_can_end_with() -> None:
    text = words("This is the begin of a")
    assert streamed(Writer(*text), len(text)) == ["This is the begin."]
    assert streamed(Writer(*text), len(text) + 1) == ["This is the begin of a"]


def test_a_reply_that_ends_with_its_last_token_is_whole() -> None:
    text = words("This is the first sentence. This is the second.")
    assert streamed(Writer(*text), len(text)) == ["This is the first sentence.", "This is the second."]


def test_a_clause_is_handed_on_before_the_reply_is_written_to_its_end() -> None:
    writer = Writer(*words("This is the first one. And here comes the second one."), each_s=1.0)

    async def main() -> tuple[str, float, Reply]:
        reply = Reply(writer)
        async with asyncio.TaskGroup() as group:
            group.create_task(reply.work())
            first = await anext(reply.clauses)
            return first, CLOCK.now_s(), reply

    first, at_s, reply = run_virtual(main())
    assert first == "This is the first one."
    assert at_s == pytest.approx(6, abs=0.01)
    assert dict(reversed(reply.marks)) == {
        "slm_first_token": pytest.approx(1, abs=0.01),
        "slm_first_clause": pytest.approx(6, abs=0.01),
    }


def test_writing_waits_until_clauses_are_taken() -> None:
    writer = Writer(*words(" ".join(f"This is sentence number {number}." for number in range(50))))

    async def main() -> None:
        reply = Reply(writer, capacity=2)
        work = asyncio.create_task(reply.work())
        await CLOCK.sleep_s(10)
        assert not work.done()
        assert writer.written < 20
        taken = [clause async for clause in reply.clauses]
        await work
        assert len(taken) == 50

    run_virtual(main())


def test_an_error_of_the_engine_reaches_the_caller() -> None:
    writer = Writer(*words("This is the first one. And more"), fails_after=6)
    with pytest.raises(EngineError, match="the writer failed"):
        streamed(writer)
    assert writer.closed


async def waits_for_the_engine(reply: Reply) -> None:
    del reply
    await CLOCK.sleep_s(2.5)


async def waits_for_room(reply: Reply) -> None:
    await CLOCK.sleep_s(20)
    assert len(reply.clauses) == 1


@pytest.mark.parametrize("moment", [waits_for_the_engine, waits_for_room])
def test_a_cancelled_response_closes_the_stream_and_leaves_nothing(
    moment: Callable[[Reply], Coroutine[Any, Any, None]],
) -> None:
    writer = Writer(*words("Well then, this is one. This is the second one. This is three."), each_s=1.0)

    async def main() -> None:
        reply = Reply(writer, capacity=1)
        work = asyncio.create_task(reply.work())
        await moment(reply)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert tasks_left() == set()
        assert len(reply.clauses) <= 1

    run_virtual(main())
    assert writer.closed
    assert writer.written < 13
