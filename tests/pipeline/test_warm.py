"""The model takes in the latest conversation, and nobody minds when it does not."""

from __future__ import annotations

import asyncio

from voicebot.clock import LoopClock, run_virtual
from voicebot.engines.protocols import Cancel, Message
from voicebot.engines.scripted import ScriptedModel
from voicebot.errors import EngineError
from voicebot.latency.work import WorkLedger
from voicebot.pipeline.warm import Warming
from voicebot.workers.inline import InlineSlm

ONE, OTHER = (Message("user", "one"),), (Message("user", "the other"),)


class SlowSlm(InlineSlm):
    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        await asyncio.sleep(1)
        return await super().prefill(messages, session=session)


class DeafModel(ScriptedModel):
    def prefill(self, messages: tuple[Message, ...], cancel: Cancel) -> int:
        raise EngineError("the language model failed.")


def taken_in(*asked: tuple[Message, ...], every_s: float, model: ScriptedModel, cancel: bool = False) -> None:
    async def main() -> None:
        warming = Warming("talk", SlowSlm(model, LoopClock()), WorkLedger())
        async with asyncio.TaskGroup() as group:
            for messages in asked:
                warming.warm(group, messages)
                await asyncio.sleep(every_s)
            if cancel:
                warming.cancel()

    run_virtual(main())


def test_one_is_taken_in_after_the_other_if_there_is_time() -> None:
    model = ScriptedModel()
    taken_in(ONE, OTHER, every_s=2, model=model)
    assert model.prefills == [ONE, OTHER]


def test_the_latest_replaces_the_one_before() -> None:
    model = ScriptedModel()
    taken_in(ONE, OTHER, every_s=0.5, model=model)
    assert model.prefills == [OTHER]


def test_it_can_be_cancelled_at_any_time() -> None:
    for every_s in (0.5, 2):
        model = ScriptedModel()
        taken_in(ONE, every_s=every_s, model=model, cancel=True)
        assert model.prefills == ([ONE] if every_s > 1 else [])


def test_a_model_that_fails_is_of_no_consequence() -> None:
    taken_in(ONE, OTHER, every_s=2, model=DeafModel())
