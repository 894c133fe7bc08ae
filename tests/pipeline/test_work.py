"""What a conversation costs, and what of it was for nothing; and that it begins later when that is too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from tests.virtual_conversation import CLOCK, Talk, converse, settings, understood
from tests.voice import ReadableSynthesizer, spoken
from voicebot.audio import Pcm, ms_from_samples, samples_from_ms, silence
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import Message, Speech, Transcript
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer
from voicebot.latency.work import charged_to
from voicebot.pipeline.stages import Stages
from voicebot.workers.inline import InlineAsr, InlineSlm, InlineTts

REPLY = "Certainly, this is the answer. It has two sentences."


@dataclass
class Costs:
    """Charges each request as a worker would: a second when it has ended, half of that when it was left."""

    requests: list[str] = field(default_factory=list)
    """Each request's stage, with "-" if it was left early."""

    def __call__(self, stage: str) -> Any:
        return self._charged(stage)

    @contextmanager
    def _charged(self, stage: str) -> Any:
        work = charged_to.get()
        assert work is not None, stage
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            work.charge(0.5, cancelled=True)
            self.requests.append(f"{stage}-")
            raise
        work.charge(1.0, cancelled=False)
        self.requests.append(stage)

    @property
    def cpu_s(self) -> float:
        return sum(0.5 if request.endswith("-") else 1.0 for request in self.requests)


def costly(costs: Costs, slm: ScriptedModel) -> Stages:
    class Asr(InlineAsr):
        async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
            with costs("asr"):
                return await super().transcribe(pcm, thorough=thorough)

    class Slm(InlineSlm):
        async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
            with costs("prefill"):
                return await super().prefill(messages, session=session)

        async def generate(
            self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
        ) -> AsyncGenerator[str, None]:
            with costs("slm"):
                async for text in super().generate(messages, max_tokens, begun, session=session):
                    yield text

    class Tts(InlineTts):
        async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
            with costs("tts"):
                async for speech in super().synthesize(text, first=first):
                    yield speech

    return replace(
        scripted_stages(CLOCK),
        asr=Asr(ScriptedRecognizer(understood), CLOCK),
        slm=Slm(slm, CLOCK),
        tts=Tts(ReadableSynthesizer(), CLOCK),
        turn=None,
    )


def held(script: Callable[[Talk], Coroutine[Any, Any, None]], slm: ScriptedModel) -> tuple[Talk, Costs]:
    costs = Costs()
    talk = converse(script, stages=costly(costs, slm))
    assert talk.session.work.cpu_s == costs.cpu_s
    return talk, costs


def replying(finished: Callable[[tuple[Message, ...]], float] = lambda _: 1.0) -> ScriptedModel:
    return ScriptedModel(lambda _: REPLY, Pace(60, 10), finished)


async def ask(talk: Talk, *parts: str, pause_ms: float = 400) -> None:
    """Say parts of a sentence with pauses between them."""
    sounds = [spoken(parts[0])]
    for part in parts[1:]:
        sounds += [silence(samples_from_ms(pause_ms)), spoken(part)]
    talk.say(np.concatenate(sounds))
    await talk.quiet()


def test_a_turn_in_one_breath_wastes_nothing() -> None:
    async def script(talk: Talk) -> None:
        await ask(talk, "what is the capital of France")

    talk, costs = held(script, replying())
    assert sorted(costs.requests) == ["asr", "prefill", "prefill", "slm", "tts", "tts", "tts"]
    assert talk.session.work.wasted_cpu_s == 0


def test_all_that_was_done_for_words_to_which_more_came_is_wasted_once() -> None:
    async def script(talk: Talk) -> None:
        await ask(talk, "what is the capital", "of France")

    talk, costs = held(script, replying(lambda messages: float("france" in messages[-1].content)))
    (turn,) = talk.turns
    assert turn.revisions == 2
    assert costs.requests.count("asr") == 2
    done_twice = costs.requests.index("asr", costs.requests.index("asr") + 1)
    stale = costs.requests[1:done_twice]  # the history's prefill came first
    wasted = sum(0.5 if request.endswith("-") else 1.0 for request in stale if not request.startswith("prefill"))
    assert talk.session.work.wasted_cpu_s == wasted > 1


def test_what_was_prepared_and_taken_up_again_is_not_wasted() -> None:
    """Of the first revision only the recognition was for nothing."""

    async def script(talk: Talk) -> None:
        talk.speak("what is the capital of France")
        await CLOCK.sleep_s(len(spoken("what is the capital of France")) / 16_000 + 1.2)
        talk.say_ms(120)
        await talk.quiet()

    talk, costs = held(script, replying(lambda _: 0.0))
    (turn,) = talk.turns
    assert (turn.revisions, turn.heard) == (2, REPLY)
    left = 0.5 * sum(request.endswith("-") for request in costs.requests)
    assert talk.session.work.wasted_cpu_s == 1.0 + left


def test_what_was_prepared_for_a_turn_that_is_discarded_is_wasted() -> None:
    async def script(talk: Talk) -> None:
        talk.speak("what is the capital")
        await CLOCK.sleep_s(len(spoken("what is the capital")) / 16_000 + 1.0)
        talk.session.stop()
        await talk.quiet()

    talk, costs = held(script, replying(lambda _: 0.0))
    prefills = sum(request == "prefill" for request in costs.requests)
    assert talk.session.work.wasted_cpu_s == costs.cpu_s - prefills > 2


def test_looks_over_a_reply_are_counted() -> None:
    async def script(talk: Talk) -> None:
        await ask(talk, "what is the capital of France")
        talk.speak("tell me more")
        await CLOCK.sleep_s(2)
        talk.speak("mm-hm")
        await talk.quiet()

    _, costs = held(script, replying())
    assert costs.requests.count("asr") >= 3


def soft_ends_ms(turns: int, *, hesitating: bool) -> list[float]:
    """Return how long after the voice's end each turn's last revision began."""
    slm = replying(lambda messages: float(messages[-1].content.endswith("france")))

    async def script(talk: Talk) -> None:
        for _ in range(turns):
            parts = ("what is", "the capital", "of France") if hesitating else ("what is the capital of France",)
            await ask(talk, *parts, pause_ms=700)

    talk, _ = held(script, slm)
    return [ms_from_samples(turn.marks["soft_end"] - turn.speech_end_sample) for turn in talk.turns]


def test_who_hesitates_in_every_turn_is_answered_less_eagerly() -> None:
    after_ms = soft_ends_ms(9, hesitating=True)
    assert after_ms == sorted(after_ms)
    assert after_ms[-1] >= after_ms[0] + 100
    assert after_ms[-1] <= settings().speculation.latest_soft_end_ms + 40


def test_who_does_not_is_answered_as_eagerly_as_ever() -> None:
    after_ms = soft_ends_ms(6, hesitating=False)
    assert max(after_ms) - min(after_ms) <= 20


@pytest.mark.parametrize("share", [0.35, 1.0])
def test_the_share_that_may_be_wasted_is_a_setting(share: float) -> None:
    slm = replying(lambda messages: float(messages[-1].content.endswith("france")))

    async def script(talk: Talk) -> None:
        for _ in range(5):
            await ask(talk, "what is", "the capital", "of France", pause_ms=700)

    talk = converse(script, settings(speculation={"wasted_share": share}), stages=costly(Costs(), slm))
    first, *_, last = (turn.marks["soft_end"] - turn.speech_end_sample for turn in talk.turns)
    assert (last - first > samples_from_ms(60)) == (share < 1)
