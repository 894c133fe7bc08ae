"""What was prepared for a revision is put down and taken up, and nothing of it is asked for twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field

import pytest

from tests.pipeline.revision_scene import Engines, Scene, on_scene
from tests.virtual_conversation import CLOCK, Talk, converse, stretches, unfinished
from tests.voice import ReadableSynthesizer, written
from voicebot.clock import run_virtual
from voicebot.engines.protocols import Cancel, Message, Speech
from voicebot.engines.scripted import ScriptedModel, hum
from voicebot.errors import EngineError
from voicebot.latency.work import Work, WorkLedger
from voicebot.pipeline.draft import Draft


@pytest.mark.parametrize(
    ("dropped_s", "asked", "begun"),
    [
        (1.5, ["slm", "tts", "tts"], ["", ""]),
        (2.5, ["slm", "tts", "tts"], ["", "First clause. "]),
        (3.5, ["tts"], [""]),
        (9.5, [], [""]),
    ],
    ids=["nothing", "a first clause", "the text and its first audio", "all of it"],
)
def test_what_was_prepared_for_the_same_words_is_taken_up(dropped_s: float, asked: list[str], begun: list[str]) -> None:
    """The next revision asks only for what is missing, and the words are weighed once."""
    engines = Engines()

    async def main() -> tuple[Scene, Draft]:
        first = Scene(engines)
        async with asyncio.TaskGroup() as group:
            first.revision.start(group)
            await CLOCK.sleep_s(dropped_s)
            draft = first.revision.drop()
        first_calls.update(engines.calls)
        assert draft is not None
        assert first.ledger.wasted_cpu_s == 1.0  # the recognition of words that were said before more was said
        second = Scene(engines, draft=draft)
        speaking = asyncio.create_task(second.speaker())
        async with asyncio.TaskGroup() as group:
            second.revision.start(group)
            second.revision.commit()
        speaking.cancel()
        return second, draft

    first_calls: Counter[str] = Counter()
    second, draft = run_virtual(main())
    assert Counter(engines.calls) - first_calls == Counter(["asr", *asked])
    assert engines.begun == begun
    assert engines.weighed == 1
    assert second.revision.draft is draft
    assert second.revision.reply.heard == "First clause. Second clause."


def test_what_was_prepared_for_other_words_is_thrown_away() -> None:
    engines = Engines()

    async def main() -> tuple[Scene, Scene]:
        first = Scene(engines)
        async with asyncio.TaskGroup() as group:
            first.revision.start(group)
            await CLOCK.sleep_s(10)
            draft = first.revision.drop()
        engines.text = "Hello you."
        second = Scene(engines, draft=draft)
        speaking = asyncio.create_task(second.speaker())
        async with asyncio.TaskGroup() as group:
            second.revision.start(group)
            second.revision.commit()
        speaking.cancel()
        return first, second

    first, second = run_virtual(main())
    assert engines.calls == ["asr", "slm", "tts", "tts"] * 2
    assert engines.begun == ["", ""]
    assert first.ledger.wasted_cpu_s == first.ledger.cpu_s == 4.0
    assert (second.ledger.cpu_s, second.ledger.wasted_cpu_s) == (4.0, 0.0)


def test_a_revision_that_is_dropped_before_its_words_are_known_hands_on_what_it_was_handed() -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        await CLOCK.sleep_s(0.5)
        assert scene.revision.drop() is draft

    engines = Engines()
    draft = Draft(engines, engines, "Hello.", Work(WorkLedger()))
    on_scene(script, engines, draft=draft)


QUESTION = (Message("user", "Who are you?"),)


class Writer:
    """Streams three pieces, and fails before one of them if it is told to."""

    def __init__(self, fails_before: int | None = None) -> None:
        self.asked: list[tuple[int, str]] = []
        self.spoken: list[str] = []
        self.fails_before = fails_before

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        return len(messages)

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        return float(len(messages))

    async def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        assert messages == QUESTION
        self.asked.append((max_tokens, begun))
        pieces = ["I", " am", " Bot."]
        first = len(begun.split())
        for number, piece in list(enumerate(pieces))[first : first + max_tokens]:
            if number == self.fails_before:
                raise EngineError("the writer failed.")
            await CLOCK.sleep_s(1)
            yield piece

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        del first
        self.spoken.append(text)
        for piece in range(2):
            await CLOCK.sleep_s(1)
            yield Speech(hum(100 + piece), (90,))


def drafting(writer: Writer) -> Draft:
    return Draft(writer, writer, "Who are you?", Work(WorkLedger()))


async def text_of(draft: Draft, max_tokens: int = 10, stop_after: int | None = None) -> list[str]:
    pieces = []
    async for piece in draft.generate(QUESTION, max_tokens):
        pieces.append(piece)
        if len(pieces) == stop_after:
            break
    return pieces


def test_a_whole_text_is_kept() -> None:
    async def main() -> None:
        draft = drafting(writer)
        assert await text_of(draft) == await text_of(draft) == ["I", " am", " Bot."]

    writer = Writer()
    run_virtual(main())
    assert writer.asked == [(10, "")]


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_text_that_was_left_is_continued_where_it_was(stop_after: int) -> None:
    async def main() -> None:
        draft = drafting(writer)
        begun = await text_of(draft, stop_after=stop_after)
        assert await text_of(draft) == ["I", " am", " Bot."]
        assert writer.asked == [(10, ""), (10 - stop_after, "".join(begun))]

    writer = Writer()
    run_virtual(main())


def test_a_text_is_never_longer_than_asked_for() -> None:
    async def main() -> None:
        draft = drafting(writer)
        assert await text_of(draft, 2) == ["I", " am"]
        assert await text_of(draft, 2) == ["I", " am"]
        assert writer.asked == [(2, "")]

    writer = Writer()
    run_virtual(main())


def test_what_came_before_a_failure_is_kept_and_the_rest_is_asked_for_again() -> None:
    async def main() -> None:
        draft = drafting(writer)
        with pytest.raises(EngineError):
            await text_of(draft)
        writer.fails_before = None
        assert await text_of(draft) == ["I", " am", " Bot."]
        assert writer.asked == [(10, ""), (8, "I am")]

    writer = Writer(fails_before=2)
    run_virtual(main())


def test_a_clause_is_kept_when_all_of_it_was_spoken() -> None:
    async def main() -> None:
        draft = drafting(writer)
        async for _ in draft.synthesize("Hello.", first=True):
            break
        for _ in range(2):
            speech = [speech async for speech in draft.synthesize("Hello.", first=True)]
            assert [len(piece.pcm) for piece in speech] == [100, 101]
            assert [piece.word_ends for piece in speech] == [(90,), (90,)]
        assert [speech async for speech in draft.synthesize("Bye.", first=False)]

    writer = Writer()
    run_virtual(main())
    assert writer.spoken == ["Hello.", "Hello.", "Bye."]


REPLY = "Certainly, this is the answer. It has two sentences."


@dataclass
class CountingSynthesizer(ReadableSynthesizer):
    """Keeps what it was asked to say."""

    asked: list[str] = field(default_factory=list)

    def synthesize(self, text: str, *, first: bool, cancel: Cancel) -> Iterator[Speech]:
        self.asked.append(text)
        return super().synthesize(text, first=first, cancel=cancel)


def gone_on(first: str, then: str, pause_s: float = 1.2) -> tuple[Talk, ScriptedModel, CountingSynthesizer]:
    """Let the user pause for long enough that a reply is prepared, and go on."""
    slm, tts = unfinished(REPLY), CountingSynthesizer()

    async def script(talk: Talk) -> None:
        talk.speak(first)
        await CLOCK.sleep_s(len(first) * 0.06 + pause_s)
        if then:
            talk.speak(then)
        else:
            talk.say_ms(120)  # a cough
        await talk.quiet()

    return converse(script, slm=slm, tts=tts), slm, tts


def test_who_only_coughs_after_the_question_hears_the_reply_that_was_prepared() -> None:
    talk, slm, tts = gone_on("what is the capital of France", "")
    (turn,) = talk.turns
    assert (turn.revisions, turn.heard) == (2, REPLY)
    assert len(slm.requests) == 1
    assert tts.asked.count("Certainly,") == 1
    assert written(talk.reply).replace(" ", "") == REPLY.lower().replace(" ", "")


def test_who_says_more_hears_no_word_of_what_was_prepared_before() -> None:
    talk, slm, tts = gone_on("what is the capital", "of France")
    (turn,) = talk.turns
    assert (turn.revisions, turn.user, turn.heard) == (2, "what is the capital of france", REPLY)
    assert [messages[-1].content for messages in slm.requests] == ["what is the capital", turn.user]
    assert tts.asked.count("Certainly,") == 2


def test_who_goes_on_before_anything_was_prepared_is_asked_for_once() -> None:
    talk, slm, _ = gone_on("what is the capital of France", "", pause_s=0.12)
    (turn,) = talk.turns
    assert turn.heard == REPLY
    assert len(slm.requests) <= 2
    assert len(stretches(talk.reply, gap_ms=300)) == 1
