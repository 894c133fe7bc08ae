"""Clauses become audio in order, a piece at a time, and the synthesizer is closed when nobody listens any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import numpy as np
import pytest

from tests.virtual_conversation import CLOCK, tasks_left
from voicebot.clock import run_virtual
from voicebot.engines.protocols import Speech
from voicebot.errors import EngineError
from voicebot.pipeline.channel import Channel
from voicebot.pipeline.speak import ClauseAudio, speak
from voicebot.turn.heard import HeardReply

PIECE = 1600


class Mouth:
    """Speaks a piece of audio for each word, and knows how each of its streams ended."""

    def __init__(
        self,
        each_s: float = 0.0,
        fails_on: str | None = None,
        word_ends: dict[str, tuple[int, ...]] | None = None,
    ) -> None:
        self.asked: list[tuple[str, bool]] = []
        self.opened = self.closed = 0
        self._each_s = each_s
        self._fails_on = fails_on
        self._word_ends = word_ends or {}

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        self.asked.append((text, first))
        self.opened += 1
        try:
            for word in text.split():
                await CLOCK.sleep_s(self._each_s)
                if word == self._fails_on:
                    raise EngineError("the mouth failed.")
                yield Speech(np.full(PIECE, len(word), np.int16), self._word_ends.pop(word, ()))
        finally:
            self.closed += 1


class Speaking:
    def __init__(self, mouth: Mouth, capacity: int = 100) -> None:
        self.clauses = Channel[str](10)
        self.audio = Channel[ClauseAudio](capacity)
        self.reply = HeardReply()
        self.marks: list[str] = []
        self.spoken: list[tuple[str, int]] = []
        self._mouth = mouth

    def work(self) -> Coroutine[Any, Any, None]:
        return speak(
            self._mouth,
            self.clauses,
            self.audio,
            self.reply,
            self.marks.append,
            lambda text, samples: self.spoken.append((text, samples)),
        )

    async def give(self, *clauses: str) -> None:
        for clause in clauses:
            await self.clauses.send(clause)
        await self.clauses.close()


def test_each_clause_is_spoken_in_order_and_the_channel_is_closed() -> None:
    mouth = Mouth()

    async def main() -> Speaking:
        speech = Speaking(mouth)
        await speech.give("one three", "seven")
        await speech.work()
        taken = [(piece.clause, int(piece.pcm[0]), len(piece.pcm)) async for piece in speech.audio]
        assert taken == [(0, 3, PIECE), (0, 5, PIECE), (1, 5, PIECE)]
        return speech

    speech = run_virtual(main())
    assert mouth.asked == [("one three", True), ("seven", False)]
    assert mouth.opened == mouth.closed == 2
    assert speech.spoken == [("one three", 2 * PIECE), ("seven", PIECE)]
    assert speech.marks[0] == "tts_first_audio"
    assert speech.reply.text == "one three seven"
    assert speech.reply.heard == ""


def test_what_is_played_of_it_can_be_told_in_words() -> None:
    async def main() -> None:
        speech = Speaking(Mouth())
        await speech.give("one two", "six")
        await speech.work()
        speech.reply.add_played(0, PIECE)
        assert speech.reply.heard == "one"
        speech.reply.add_played(0, PIECE)
        speech.reply.add_played(1, PIECE)
        assert speech.reply.heard == "one two six"

    run_virtual(main())


def test_words_end_where_the_voice_says_they_do() -> None:
    async def main() -> None:
        speaking = Speaking(Mouth(word_ends={"one": (100, 900), "six.": (1500, 3000)}))
        await speaking.give("one two six. ten")
        await speaking.work()
        for played, heard in [(90, "one"), (820, "one two"), (700, "one two six."), (1500, "one two six. ten")]:
            speaking.reply.add_played(0, played)
            assert speaking.reply.heard == heard

    run_virtual(main())


def test_no_clauses_no_audio() -> None:
    async def main() -> Speaking:
        speech = Speaking(Mouth())
        await speech.give()
        await speech.work()
        assert [piece async for piece in speech.audio] == []
        return speech

    assert run_virtual(main()).marks == []


def test_audio_is_handed_on_while_the_clause_is_still_being_made() -> None:
    async def main() -> None:
        speech = Speaking(Mouth(each_s=1.0))
        await speech.give("one two three")
        async with asyncio.TaskGroup() as group:
            group.create_task(speech.work())
            await anext(speech.audio)
            assert CLOCK.now_s() == pytest.approx(1, abs=0.01)
            assert speech.spoken == []

    run_virtual(main())


def test_synthesis_waits_until_its_audio_is_taken() -> None:
    mouth = Mouth()

    async def main() -> None:
        speech = Speaking(mouth, capacity=2)
        await speech.give("a b c d e", "f")
        work = asyncio.create_task(speech.work())
        await CLOCK.sleep_s(10)
        assert len(speech.audio) == 2
        assert mouth.asked == [("a b c d e", True)]
        assert len([piece async for piece in speech.audio]) == 6
        await work

    run_virtual(main())


def test_an_error_of_the_engine_reaches_the_caller_and_closes_the_stream() -> None:
    mouth = Mouth(fails_on="two")

    async def main() -> None:
        speech = Speaking(mouth)
        await speech.give("one two three", "four")
        with pytest.raises(EngineError, match="the mouth failed"):
            await speech.work()
        assert len(speech.audio) == 1
        assert speech.spoken == []

    run_virtual(main())
    assert mouth.opened == mouth.closed == 1


@pytest.mark.parametrize(
    ("after_s", "capacity", "opened"),
    [(0.5, 100, 1), (2.5, 100, 1), (30, 1, 1), (8, 100, 2)],
    ids=["before the first audio", "between two pieces", "waiting for room", "waiting for a clause"],
)
def test_a_cancelled_synthesis_closes_the_stream_and_leaves_nothing(after_s: float, capacity: int, opened: int) -> None:
    mouth = Mouth(each_s=1.0)

    async def main() -> None:
        speech = Speaking(mouth, capacity)
        for clause in ("one two three four", "five"):
            await speech.clauses.send(clause)
        work = asyncio.create_task(speech.work())
        await CLOCK.sleep_s(after_s)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert tasks_left() == set()

    run_virtual(main())
    assert mouth.opened == mouth.closed == opened
