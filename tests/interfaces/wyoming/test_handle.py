"""Answers by the language model for Wyoming clients."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from wyoming.asr import Transcript

from tests.interfaces.wyoming.serving import Serving, joined, of, read_until, send, serving
from tests.virtual_conversation import CLOCK, FailingModel
from voicebot.clock import LoopClock, run_virtual
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import Message
from voicebot.engines.scripted import Pace, ScriptedModel
from voicebot.interfaces.kept import KeptState
from voicebot.interfaces.wyoming.handle import Conversations


def answers(**options: Any) -> ScriptedModel:
    """Return a model that tells what was said before."""

    def said(messages: tuple[Message, ...]) -> str:
        before = [message.content for message in messages if message.role == "user"][:-1]
        return f"You said {' and '.join(before)}." if before else "You said nothing yet."

    return ScriptedModel(said, Pace(0), **options)


async def asked(running: Serving, *texts: str, context: dict[str, Any] | None = None) -> list[str]:
    """Return the answers that one connection gets."""
    found: list[str] = []
    async with running.connected() as client:
        for text in texts:
            await send(client, Transcript(text, context))
            events = await read_until(client, "handled-stop")
            assert [event.type for event in events if event.type != "handled-chunk"] == [
                *("handled-start", "handled", "handled-stop"),
            ]
            assert joined(events, "handled-chunk") == joined(events, "handled")
            assert of(events, "handled")[0].data.get("context") == context
            found.append(joined(events, "handled"))
    return found


async def test_a_conversation_lasts_as_long_as_its_connection(kept: KeptState) -> None:
    async with serving(kept, scripted_stages(LoopClock(), slm=answers())) as running:
        assert await asked(running, "one", " two\n", "three") == [
            *("You said nothing yet.", "You said one.", "You said one and two."),
        ]
        assert await asked(running, "one") == ["You said nothing yet."]


async def test_a_conversation_with_a_name_goes_on_over_connections(kept: KeptState) -> None:
    slm = answers()
    async with serving(kept, scripted_stages(LoopClock(), slm=slm)) as running:
        first, second = {"conversation_id": "01AB"}, {"conversation_id": "01CD"}
        assert await asked(running, "one", context=first) == ["You said nothing yet."]
        assert await asked(running, "two", context=second) == ["You said nothing yet."]
        assert await asked(running, "three", context=first) == ["You said one."]
        assert running.service.status()["wyoming"]["conversations"] == 2


def test_conversations_are_forgotten_when_nobody_goes_on_with_them() -> None:
    async def main() -> None:
        known = Conversations("Be brief.", CLOCK)
        keeping = asyncio.create_task(known.keep())
        await CLOCK.sleep_s(100)
        kept, other = known.named("a"), known.named("b")
        other.history.add("one", "two")
        await CLOCK.sleep_s(599)
        assert known.named("a") is kept
        assert len(known) == 2
        await CLOCK.sleep_s(2)
        assert len(known) == 1, "nobody has asked for anything meanwhile"
        assert known.named("b").history.exchanges == ()
        await CLOCK.sleep_s(601)
        assert len(known) == 0
        keeping.cancel()

    run_virtual(main())


def test_no_more_conversations_are_kept_than_there_is_room_for() -> None:
    async def main() -> None:
        known = Conversations("Be brief.", CLOCK)
        places = {known.named(str(number)).place for number in range(100)}
        assert len(places) == 100
        assert len(known) == 32

    run_virtual(main())


async def test_an_empty_request_is_not_handled(kept: KeptState) -> None:
    async with serving(kept) as running, running.connected() as client:
        await send(client, Transcript(" \n"))
        assert [event.type for event in await read_until(client, "not-handled")] == ["not-handled"]


@pytest.mark.parametrize("context", [{"conversation_id": 5}, {"conversation_id": "x" * 201}])
async def test_a_name_that_is_none_is_refused(kept: KeptState, context: dict[str, Any]) -> None:
    async with serving(kept) as running, running.connected() as client:
        await send(client, Transcript("hello", context))
        assert "conversation_id" in (await read_until(client, "error"))[-1].data["text"]


async def test_a_request_that_failed_is_not_remembered(kept: KeptState) -> None:
    slm = FailingModel(lambda messages: f"{len(messages)} messages", Pace(0))
    async with serving(kept, scripted_stages(LoopClock(), slm=slm)) as running:
        context = {"conversation_id": "01AB"}
        async with running.connected() as client:
            await send(client, Transcript("one", context))
            assert (await read_until(client, "error"))[-1].data["code"] == "failed"
        assert await asked(running, "two", context=context) == ["2 messages"]
