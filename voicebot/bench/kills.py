"""Kills each worker in the middle of a reply, again and again: the conversation has to go on."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any, Final

import psutil

from voicebot.clock import Clock, LoopClock
from voicebot.config.load import Settings
from voicebot.daemon import open_stages
from voicebot.errors import EngineError
from voicebot.events import Event, Observer, WorkerChanged
from voicebot.latency.percentiles import summary
from voicebot.models.store import Store
from voicebot.replay import Clip, Conversation, hold

_PATIENCE_S: Final = 30.0
_REPLY_TOKENS: Final = 240
"""So long a reply that both the language model and the synthesizer are at work when it is first heard."""
_APOLOGY_S: Final = 6.0


class _Workers:
    """Who is alive, by the events."""

    def __init__(self, observer: Observer) -> None:
        self.pids: dict[str, int] = {}
        self._observer = observer
        self._changed = asyncio.Event()

    def observe(self, event: Event) -> None:
        if isinstance(event, WorkerChanged):
            if event.state == "ready" and event.pid is not None:
                self.pids[event.stage] = event.pid
            elif event.state == "died":
                self.pids.pop(event.stage, None)
            self._changed.set()
        self._observer(event)

    async def kill(self, stage: str, clock: Clock) -> float:
        """Kill a worker and return how many milliseconds it took until another was ready."""
        killed = self.pids[stage]
        began_s = clock.now_s()
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(_PATIENCE_S):
            while self.pids.get(stage) in (None, killed):
                self._changed.clear()
                await self._changed.wait()
        return (clock.now_s() - began_s) * 1000


async def measure_kills(
    settings: Settings, store: Store, long_question: Clip, question: Clip, times: int, observer: Observer
) -> dict[str, Any]:
    """Kill each worker `times` times, each in the middle of a reply to the long question in a conversation of its own.

    Then ask the other question. Raises EngineError when that is not answered, or the conversation lost a turn.
    """
    clock = LoopClock()
    slm = settings.pipeline.slm.model_copy(update={"max_tokens": _REPLY_TOKENS})
    settings = settings.with_pipeline(settings.pipeline.model_copy(update={"slm": slm}))
    watched = _Workers(observer)
    back_ms: dict[str, list[float]] = {"asr": [], "slm": [], "tts": []}
    apologies = dict.fromkeys(back_ms, 0)
    async with open_stages(settings, store, clock, watched.observe) as stages:
        for number in range(times):
            for stage, times_ms in back_ms.items():

                async def script(
                    conversation: Conversation, stage: str = stage, times_ms: list[float] = times_ms
                ) -> None:
                    conversation.say(long_question)
                    async with asyncio.timeout(_PATIENCE_S):
                        await conversation.speaking.wait()
                    times_ms.append(await watched.kill(stage, clock))
                    if stage != "asr":  # its work on this turn was done
                        await _until_idle(conversation, clock)
                    conversation.session.stop()
                    await clock.sleep_s(0.5)
                    conversation.say(question)
                    await conversation.settle(clock)

                name = f"kill-{number + 1}-{stage}"
                conversation = await hold(name, settings, stages, clock, watched.observe, script)
                _check(conversation)
                apologies[stage] += conversation.ended[0].error is not None
    return {
        "kills": 3 * times,
        "apologies": apologies,
        "back_ms": {stage: summary(values) for stage, values in back_ms.items()},
        "orphans": len(psutil.Process().children(recursive=True)),
    }


def _check(conversation: Conversation) -> None:
    """Raise EngineError unless the turn after the kill was answered, and both are remembered as they were heard."""
    name, ended = conversation.name, conversation.ended
    if len(ended) != 2 or ended[1].error is not None or not ended[1].heard:
        raise EngineError(f"after {name} the next question was not answered.")
    if conversation.remembered != [(turn.user, turn.heard) for turn in ended]:
        raise EngineError(f"after {name} the conversation is not remembered as it was heard.")


async def _until_idle(conversation: Conversation, clock: Clock) -> None:
    end_s = clock.now_s() + _APOLOGY_S
    while not conversation.idle and clock.now_s() < end_s:
        await clock.sleep_s(0.05)
