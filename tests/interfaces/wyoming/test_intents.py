"""Intents for Wyoming clients."""

from __future__ import annotations

from typing import Any

import pytest
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.intent import Intent, NotRecognized, Recognize

from tests.interfaces.wyoming.serving import read_until, send, serving
from tests.replayed import SCRIPTED
from tests.virtual_conversation import CLOCK, FailingModel
from voicebot.config.pipeline import BargeInSettings, PipelineSettings
from voicebot.daemon import scripted_stages
from voicebot.interfaces.kept import KeptState


async def recognised(
    kept: KeptState, text: str, kind: str, context: dict[str, Any] | None = None, pipeline: PipelineSettings = SCRIPTED
) -> Event:
    """Return the answer to a text; a model would fail."""
    stages = scripted_stages(CLOCK, slm=FailingModel())
    async with serving(kept, stages, pipeline) as running, running.connected() as client:
        await send(client, Recognize(text, context))
        (event,) = await read_until(client, kind)
        return event


@pytest.mark.parametrize("text", ["Stop.", "never mind", "Wait, wait!", "Please stop. That's enough."])
async def test_who_wants_nothing_any_more_is_understood_without_a_model(kept: KeptState, text: str) -> None:
    intent = Intent.from_event(await recognised(kept, text, "intent", {"conversation_id": "01AB", "device_id": "x"}))
    assert intent == Intent("HassNevermind", context={"conversation_id": "01AB"})


@pytest.mark.parametrize("text", ["", "...", "stop the music", "What time is it?", "yes", "set a timer for a minute"])
async def test_all_else_is_not(kept: KeptState, text: str) -> None:
    answer = NotRecognized.from_event(await recognised(kept, text, "not-recognized"))
    assert answer.text is not None
    assert "without a model" in answer.text
    assert answer.context is None


async def test_the_words_are_those_of_the_pipeline(kept: KeptState) -> None:
    german = SCRIPTED.model_copy(update={"barge_in": BargeInSettings(commands=("halt",))})
    await recognised(kept, "Halt!", "intent", pipeline=german)
    await recognised(kept, "Stop!", "not-recognized", pipeline=german)


async def test_they_are_not_offered_to_who_would_take_them_for_control_of_the_home(kept: KeptState) -> None:
    async with serving(kept) as running, running.connected() as client:
        await send(client, Describe())
        assert Info.from_event((await read_until(client, "info"))[-1]).intent == []


@pytest.mark.parametrize("sent", [b'{"type": "recognize"}\n', b'{"type": "recognize", "data": {"text": 5}}\n'])
async def test_nonsense_is_answered_with_an_error_and_the_end(kept: KeptState, sent: bytes) -> None:
    async with serving(kept) as running, running.connected() as client:
        assert client._writer is not None
        client._writer.write(sent)
        assert (await read_until(client, "error"))[-1].data["code"] == "bad-request"
        assert await client.read_event() is None
