"""Room is made in a long conversation while nobody speaks, and whoever speaks comes first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final
from unittest.mock import patch

import pytest

from tests.pipeline import random_conversation
from tests.pipeline.random_conversation import perform
from tests.pipeline.test_invariants import A_BUSY_ONE, INVARIANTS
from tests.virtual_conversation import CLOCK, Talk, converse, settings, understood
from voicebot.assistant.compaction import SUMMARY_BEGINS, estimate
from voicebot.assistant.history import LEFT_OUT, Notes
from voicebot.audio import Pcm, voiced_span
from voicebot.config.pipeline import PipelineSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import Message
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, ScriptedSynthesizer
from voicebot.errors import EngineError
from voicebot.latency.work import charged_to
from voicebot.turn.table import State
from voicebot.workers.inline import InlineSlm

SUMMARY: Final = f"{SUMMARY_BEGINS} questions and a good many answers."
SUMMARY_MS: Final = 3000
FACT: Final = "my name is Anna"
OTHER_NOTES: Final = Notes("The user talked about something else.")
SMALL: Final = {"context_tokens": 256, "max_tokens": 30}
"""Four turns fill it so far that a summary is due, and six to the brim."""
LARGER: Final = {"context_tokens": 512, "max_tokens": 30}


@dataclass
class Request:
    """A summary that was asked for."""

    messages: tuple[Message, ...]
    session: str
    began_s: float
    ended: str = "not"


class NotingSlm(InlineSlm):
    """Replies like the scripted model, takes its time for summaries, and keeps how they went."""

    def __init__(self, model: ScriptedModel, summary: Callable[[int], str]) -> None:
        super().__init__(model, CLOCK)
        self.model = model
        self.replied: list[tuple[Message, ...]] = []
        self.summaries: list[Request] = []
        self._summary = summary

    async def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        if session != "talk/summary":
            self.replied.append(messages)
            async for text in super().generate(messages, max_tokens, begun, session=session):
                yield text
            return
        assert begun == SUMMARY_BEGINS
        work = charged_to.get()
        assert work is not None
        request = Request(messages, session, CLOCK.now_s())
        self.summaries.append(request)
        try:
            await CLOCK.sleep_s(SUMMARY_MS / 1000)
            yield self._summary(len(self.summaries)).removeprefix(begun)
        except (asyncio.CancelledError, GeneratorExit):
            work.charge(1.0, cancelled=True)
            request.ended = "cancelled"
            raise
        except EngineError:
            request.ended = "failed"
            raise
        work.charge(1.0, cancelled=False)
        request.ended = "complete"


def hold(
    script: Callable[[Talk], Coroutine[Any, Any, None]],
    using: PipelineSettings | None = None,
    summary: Callable[[int], str] = lambda _: SUMMARY,
) -> tuple[Talk, NotingSlm]:
    """Hold a conversation in which the user states a fact, and then asks one question after the other."""
    heard: list[Pcm] = []

    def words(pcm: Pcm) -> str:
        if voiced_span(pcm) is None or not understood(pcm):
            return ""
        heard.append(pcm)
        return f"Hi, {FACT}." if len(heard) == 1 else f"what about question number {len(heard)} of the long list"

    model = ScriptedModel(lambda messages: f"You know of {messages[-1].content[-30:]} as much as I do.", Pace(60, 1))
    slm = NotingSlm(model, summary)
    stages = scripted_stages(CLOCK, ScriptedRecognizer(words), tts=ScriptedSynthesizer(10))
    return converse(script, using or settings(slm=SMALL), stages=replace(stages, slm=slm)), slm


def slm_of(talk: Talk) -> NotingSlm:
    slm = talk.session._stages.slm
    assert isinstance(slm, NotingSlm)
    return slm


async def until_due(talk: Talk) -> None:
    """Ask until a summary is under way."""
    while not slm_of(talk).summaries:
        await talk.ask_ms(400)
        await CLOCK.sleep_s(2.5)


def shown(talk: Talk) -> str:
    """Return what opens the conversation for the model."""
    return talk.session.history.messages()[0].content


@pytest.mark.parametrize("pause_s", [0.1, 6.0])
def test_sixty_turns_stay_below_the_context_and_facts_survive(pause_s: float) -> None:
    """Whether there is time for summaries or never."""

    async def script(talk: Talk) -> None:
        for _ in range(60):
            await talk.ask_ms(400)
            await CLOCK.sleep_s(pause_s)

    using = settings(slm=SMALL)
    talk, slm = hold(script, using, lambda number: f"{SUMMARY_BEGINS} {number} things.")
    size_of = estimate(using.history)
    assert len(slm.replied) == 60
    assert all(size_of(messages) + using.slm.max_tokens <= using.slm.context_tokens for messages in slm.replied)
    assert FACT in shown(talk)
    assert (SUMMARY_BEGINS in shown(talk), LEFT_OUT in shown(talk)) == ((True, False) if pause_s > 1 else (False, True))
    assert all(request.ended == "complete" for request in slm.summaries)
    assert bool(slm.summaries) == (pause_s > 1)
    assert [(each.user, each.heard) for each in talk.session.history.exchanges] == [
        (turn.user, turn.heard) for turn in talk.turns
    ]
    assert all(turn.heard == turn.reply for turn in talk.turns)


def test_a_summary_is_made_in_the_background_and_the_model_takes_it_in() -> None:
    async def script(talk: Talk) -> None:
        await until_due(talk)
        before = talk.session.history.messages()
        assert talk.session.state is State.IDLE
        await CLOCK.sleep_s(SUMMARY_MS / 1000)
        after = talk.session.history.messages()
        assert len(after) < len(before)
        assert after[-1] == before[-1]
        assert slm_of(talk).model.prefills[-1] == after

    talk, slm = hold(script)
    (request,) = slm.summaries
    last = talk.turns[-1]
    assert request.ended == "complete"
    assert FACT in request.messages[-1].content
    assert last.user not in request.messages[-1].content
    assert shown(talk).endswith(f'Earlier in this conversation: {SUMMARY}\nThe user said: "{FACT}".')
    assert talk.session.work.cpu_s == 1.0
    assert talk.session.work.wasted_cpu_s == 0.0


@pytest.mark.parametrize("sound_ms", [40, 400])
def test_the_first_sign_of_speech_cancels_it_and_it_is_tried_again(sound_ms: int) -> None:
    """A click is one as well."""

    async def script(talk: Talk) -> None:
        slm = slm_of(talk)
        await until_due(talk)
        before, turns = talk.session.history.messages(), len(talk.turns)
        talk.say_ms(sound_ms)
        await CLOCK.sleep_s(0.06)
        assert slm.summaries[0].ended == "cancelled"
        assert talk.session.history.messages() == before
        await talk.quiet()
        assert len(talk.turns) == turns + (sound_ms > 100)
        assert len(slm.summaries) == 1
        await CLOCK.sleep_s(2.5 + SUMMARY_MS / 1000)

    talk, slm = hold(script, settings(slm=LARGER))
    assert [request.ended for request in slm.summaries] == ["cancelled", "complete"]
    assert SUMMARY in shown(talk)
    assert talk.session.work.wasted_cpu_s == 1.0


def test_a_model_that_fails_is_not_asked_again_before_the_next_turn() -> None:
    def failing(number: int) -> str:
        if number <= 2:
            raise EngineError("the language model failed.")
        return SUMMARY

    async def script(talk: Talk) -> None:
        slm = slm_of(talk)
        await until_due(talk)
        before = talk.session.history.messages()
        await CLOCK.sleep_s(20)
        assert [request.ended for request in slm.summaries] == ["failed"]
        assert talk.session.history.messages() == before
        for asked in (2, 3):
            await talk.ask_ms(400)
            await CLOCK.sleep_s(8)
            assert len(slm.summaries) == asked

    talk, slm = hold(script, settings(slm=LARGER), failing)
    assert [request.ended for request in slm.summaries] == ["failed", "failed", "complete"]
    assert SUMMARY in shown(talk)
    assert LEFT_OUT not in shown(talk)


@pytest.mark.parametrize("summary", ["", " ".join(["tea"] * 300), f"{SUMMARY_BEGINS} tea. User: and more tea?"])
def test_a_summary_that_is_none_leaves_a_mark_and_was_for_nothing(summary: str) -> None:
    async def script(talk: Talk) -> None:
        await until_due(talk)
        await CLOCK.sleep_s(SUMMARY_MS / 1000)

    talk, slm = hold(script, summary=lambda _: summary)
    assert [request.ended for request in slm.summaries] == ["complete"]
    assert shown(talk).endswith(f'Earlier in this conversation: {LEFT_OUT}\nThe user said: "{FACT}".')
    assert talk.session.work.wasted_cpu_s == 1.0


def test_a_turn_that_ends_during_a_summary_stays_as_it_is() -> None:
    """Nobody has to speak for that: it may have been typed."""

    async def script(talk: Talk) -> None:
        await until_due(talk)
        talk.session.history.add("typed", "and answered")
        await CLOCK.sleep_s(SUMMARY_MS / 1000)

    talk, _ = hold(script)
    assert SUMMARY in shown(talk)
    assert talk.session.history.messages()[-2:] == (Message("user", "typed"), Message("assistant", "and answered"))


def test_a_summary_of_what_was_compacted_meanwhile_is_thrown_away() -> None:
    async def script(talk: Talk) -> None:
        history = talk.session.history
        await until_due(talk)
        assert history.compact(history.open_exchanges[:1], OTHER_NOTES)
        await CLOCK.sleep_s(SUMMARY_MS / 1000)

    talk, _ = hold(script)
    assert talk.session.history.notes == OTHER_NOTES


def test_a_conversation_that_ends_during_a_summary_leaves_nothing_behind() -> None:
    async def script(talk: Talk) -> None:
        await until_due(talk)

    talk, slm = hold(script)
    assert [request.ended for request in slm.summaries] == ["cancelled"]
    assert talk.session.history.notes is None


def test_where_it_is_switched_off_nothing_is_compacted() -> None:
    async def script(talk: Talk) -> None:
        for _ in range(15):
            await talk.ask_ms(400)
            await CLOCK.sleep_s(4)

    talk, slm = hold(script, settings(slm=SMALL, history={"enabled": False}))
    assert slm.summaries == []
    assert len(talk.session.history.open_exchanges) == 15


@pytest.fixture(scope="module")
def compacted_often() -> random_conversation.Held:
    """A conversation where everything happens, with so little room that it is compacted again and again."""
    plain = random_conversation.settings_of

    def cramped(play: random_conversation.Play) -> PipelineSettings:
        tight = {"context_tokens": 256, "max_tokens": 60}
        history = {"start_share": 0.3, "target_share": 0.2, "idle_ms": 200}
        return PipelineSettings.model_validate({**plain(play).model_dump(), "slm": tight, "history": history})

    with patch.object(random_conversation, "settings_of", cramped):
        return perform(A_BUSY_ONE)


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.__name__)
def test_what_always_holds_of_a_conversation_holds_of_a_compacted_one(
    compacted_often: random_conversation.Held, invariant: Callable[[random_conversation.Held], None]
) -> None:
    history = compacted_often.talk.session.history
    assert history.notes is not None
    assert len(history.open_exchanges) < len(history.exchanges)
    invariant(compacted_often)
