"""Stages under the lease, in virtual time: a reply on its way is not disturbed, and nothing else is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from voicebot.audio import SAMPLE_RATE_HZ, Pcm, silence
from voicebot.clock import LoopClock, run_virtual
from voicebot.config.load import load_settings
from voicebot.cpu.lease import Lease
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import Message, Speech, Transcript
from voicebot.engines.scripted import hum
from voicebot.events import ignore
from voicebot.latency.work import Work, WorkLedger, charged_to
from voicebot.pipeline.leased import with_lease
from voicebot.pipeline.shared_cores import LONGEST_WAIT_S, SharedCores, Urgency
from voicebot.pipeline.stages import Stages
from voicebot.replay import Clip, Conversation, hold, speak_in_turn

CLOCK = LoopClock()
ASKED = (Message("user", "hello"),)
HELLO = Transcript("hello", 0.0, 0.0, 1.0, fallback=False)
PCM = silence(SAMPLE_RATE_HZ)
LINGER_S = 0.05


class Slow:
    """All heavy stages: each request takes `takes_s`, each piece of a reply a tenth of that. Notes what it did when."""

    def __init__(self, takes_s: float = 1.0, words: str = "one two three four five six seven eight nine ten") -> None:
        self.takes_s = takes_s
        self.words = words.split()
        self.log: list[tuple[str, float]] = []

    def note(self, what: str) -> None:
        self.log.append((what, round(CLOCK.now_s(), 2)))

    async def work(self, what: str) -> None:
        self.note(what)
        try:
            await CLOCK.sleep_s(self.takes_s)
        except asyncio.CancelledError:
            self.note(f"{what} cancelled")
            raise

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
        await self.work("final" if thorough else "partial")
        return HELLO

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        await self.work("prefill")
        return 1

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        await self.work("end")
        return 0.5

    async def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        self.note(f"generate after {begun!r}")
        for word in self.words[len(begun.split()) :][:max_tokens]:
            await CLOCK.sleep_s(self.takes_s / 10)
            yield f"{word} "

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        self.note(f"speak {text}")
        for _ in range(2):
            await CLOCK.sleep_s(self.takes_s / 10)
            yield Speech(PCM, ())


def leased(slow: Slow) -> Stages:
    plain = scripted_stages(CLOCK)
    stages = Stages(slow, slow, slow, plain.make_gate, plain.make_detector, plain.apology)
    return with_lease(stages, SharedCores(Lease(), CLOCK), CLOCK)


def in_virtual_time(test: Callable[[Slow, Stages], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        slow = Slow()
        await test(slow, leased(slow))

    run_virtual(run())


async def reply(stages: Stages, clauses: tuple[str, ...] = ("first",), tokens: int = 100) -> None:
    """Make a reply as a revision does: text and speech side by side, charged to the same work."""
    charged_to.set(Work(WorkLedger()))
    begun = asyncio.Event()

    async def respond() -> None:
        async with aclosing(stages.slm.generate(ASKED, tokens, session="talk")) as stream:
            async for piece in stream:
                if piece.startswith("two"):
                    begun.set()

    async def speak() -> None:
        await begun.wait()
        for number, clause in enumerate(clauses):
            async with aclosing(stages.tts.synthesize(clause, first=number == 0)) as stream:
                async for _ in stream:
                    pass

    async with asyncio.TaskGroup() as group:
        group.create_task(respond())
        group.create_task(speak())


async def later(at_s: float, what: Coroutine[Any, Any, Any]) -> Any:
    await CLOCK.sleep_s(at_s)
    return await what


def test_a_partial_gives_way_to_what_was_said_and_is_looked_for_anew() -> None:
    async def test(slow: Slow, stages: Stages) -> None:
        async with asyncio.TaskGroup() as group:
            partial = group.create_task(stages.asr.transcribe(PCM, thorough=False))
            final = group.create_task(later(0.5, stages.asr.transcribe(PCM)))
        assert (partial.result(), final.result()) == (HELLO, HELLO)
        waited_s = 0.5 + LONGEST_WAIT_S[Urgency.AHEAD]
        assert slow.log == [("partial", 0.0), ("final", 0.5), ("partial cancelled", 0.5), ("partial", waited_s)]

    in_virtual_time(test)


def test_a_reply_is_on_its_way_until_its_first_audio() -> None:
    async def test(slow: Slow, stages: Stages) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(reply(stages, ("first", "second")))
            group.create_task(later(0.05, stages.slm.prefill(ASKED, session="other")))
        # Two words until the clause, then its first audio; its text goes on to 1.0.
        assert ("prefill", 0.3 + LINGER_S) in slow.log

    in_virtual_time(test)


def test_a_reply_that_nobody_speaks_is_on_its_way_to_its_end() -> None:
    async def test(slow: Slow, stages: Stages) -> None:
        async def read() -> None:
            async with aclosing(stages.slm.generate(ASKED, 5)) as stream:
                assert [piece async for piece in stream] == ["one ", "two ", "three ", "four ", "five "]

        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            group.create_task(later(0.05, stages.slm.prefill(ASKED)))
        assert ("prefill", 0.5 + LINGER_S) in slow.log

    in_virtual_time(test)


def test_weighing_the_words_is_not_disturbed() -> None:
    async def test(slow: Slow, stages: Stages) -> None:
        async with asyncio.TaskGroup() as group:
            end = group.create_task(stages.slm.end_probability(ASKED, session="talk"))
            group.create_task(later(0.5, stages.slm.prefill(ASKED, session="other")))
        assert end.result() == 0.5
        assert slow.log == [("end", 0.0), ("prefill", 1.0 + LINGER_S)]

    in_virtual_time(test)


def test_a_summary_goes_on_where_it_gave_way() -> None:
    async def test(slow: Slow, stages: Stages) -> None:
        async def summarise() -> str:
            async with aclosing(stages.slm.generate(ASKED, 9, "one ", session="talk/summary")) as stream:
                return "".join([piece async for piece in stream])

        async with asyncio.TaskGroup() as group:
            summary = group.create_task(summarise())
            group.create_task(later(0.25, stages.slm.end_probability(ASKED, session="other")))
        assert summary.result() == "two three four five six seven eight nine ten "
        resumed = ("generate after 'one two three four '", 1.25 + LINGER_S)
        assert slow.log == [("generate after 'one '", 0.0), ("end", 0.25), resumed]

    in_virtual_time(test)


@pytest.mark.parametrize(("passed_s", "waits_s"), [(0.0, 1.0), (5.0, 0.0)])
def test_a_later_clause_waits_no_longer_than_what_is_played(passed_s: float, waits_s: float) -> None:
    """Two seconds of audio have been made, one of which has to be left."""

    async def test(slow: Slow, stages: Stages) -> None:
        charged_to.set(Work(WorkLedger()))
        async with aclosing(stages.tts.synthesize("first", first=True)) as stream:
            assert len([speech async for speech in stream]) == 2
        await CLOCK.sleep_s(passed_s)
        slow.takes_s = 10.0
        final = asyncio.create_task(stages.asr.transcribe(PCM))
        await CLOCK.sleep_s(0.01)
        slow.takes_s, asked_s = 1.0, CLOCK.now_s()
        async with aclosing(stages.tts.synthesize("second", first=False)) as stream:
            assert len([speech async for speech in stream]) == 2
        began_s = next(at_s for what, at_s in slow.log if what == "speak second")
        assert began_s - asked_s == pytest.approx(waits_s, abs=0.15)
        final.cancel()

    in_virtual_time(test)


@pytest.mark.parametrize("after_s", [0.05, 0.25, 0.5])
def test_a_reply_that_is_cancelled_is_on_its_way_no_longer(after_s: float) -> None:
    """Before its first clause, while that is synthesised, and after."""

    async def test(slow: Slow, stages: Stages) -> None:
        task = asyncio.create_task(reply(stages, ("first", "second")))
        await CLOCK.sleep_s(after_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stages.slm.prefill(ASKED)
        assert slow.log[-1][1] <= round(after_s + LINGER_S, 2)

    in_virtual_time(test)


@pytest.mark.parametrize("after_s", [0.1, 0.4])
def test_a_summary_that_is_cancelled_leaves_the_cores(after_s: float) -> None:
    """While it is written, and while it waits to go on."""

    async def test(slow: Slow, stages: Stages) -> None:
        async def summarise() -> None:
            async with aclosing(stages.slm.generate(ASKED, 9, session="talk/summary")) as stream:
                async for _ in stream:
                    pass

        task = asyncio.create_task(summarise())
        end = asyncio.create_task(later(0.25, stages.slm.end_probability(ASKED)))
        await CLOCK.sleep_s(after_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await end
        await CLOCK.sleep_s(0.1)
        begins_s = round(CLOCK.now_s(), 2)
        await stages.slm.prefill(ASKED)
        assert slow.log[-1] == ("prefill", begins_s)

    in_virtual_time(test)


def test_two_conversations_at_once_are_both_answered() -> None:
    settings, clip = load_settings("scripted"), Clip.of(Path("hum"), hum(2 * SAMPLE_RATE_HZ))

    async def converse() -> list[Conversation]:
        stages = with_lease(scripted_stages(CLOCK), SharedCores(Lease(), CLOCK), CLOCK)

        async def one(name: str, after_s: float) -> Conversation:
            async def script(conversation: Conversation) -> None:
                await CLOCK.sleep_s(after_s)
                await speak_in_turn(conversation, [clip] * 3, CLOCK)

            return await hold(name, settings, stages, CLOCK, ignore, script)

        return list(await asyncio.gather(one("one", 0.0), one("other", 0.3)))

    for conversation in run_virtual(converse()):
        assert len(conversation.ended) == 3
        assert [(turn.error, turn.interrupted) for turn in conversation.ended] == [(None, False)] * 3
        assert all("audible" in turn.marks for turn in conversation.ended)
