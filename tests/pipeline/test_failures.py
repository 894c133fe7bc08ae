"""A stage fails: the apology is heard, the history stays true, and the conversation goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.virtual_conversation import (
    APOLOGY_MS,
    CLOCK,
    FailingModel,
    FailingRecognizer,
    FailingSynthesizer,
    Talk,
    converse,
    length_ms,
)
from voicebot.assistant.history import Exchange
from voicebot.audio import ms_from_samples, samples_from_ms
from voicebot.daemon import scripted_stages
from voicebot.engines.protocols import Message
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, ScriptedTurn
from voicebot.errors import EngineError
from voicebot.events import Interrupted, Resumed, TurnDiscarded
from voicebot.turn.table import State
from voicebot.workers.inline import InlineSlm

REPLY = "First of all, this is a reply. It has a second sentence. It has a third one as well."
EARLY, LATE = Pace(20, 1), Pace(1000, 1)
"""Work that fails before the commit, and after it."""

Engines = dict[str, Any]
FAILING: dict[str, Callable[[Pace], Engines]] = {
    "asr": lambda pace: {"asr": FailingRecognizer(lambda _: "a question", pace)},
    "slm": lambda pace: {"slm": FailingModel(lambda _: REPLY, Pace(pace.first_ms, 1))},
    "tts": lambda pace: {"tts": FailingSynthesizer(60, pace)},
}


def engines(stage: str, pace: Pace) -> Engines:
    found = FAILING[stage](pace)
    return {
        "asr": FailingRecognizer(lambda _: "a question", failures=0),
        "slm": ScriptedModel(lambda _: REPLY),
        **found,
    }


def hesitant(stage: str) -> Engines:
    """Return engines of which one fails early, in a turn that does not seem to be over."""
    found = engines(stage, EARLY)
    found["slm"].finished = lambda _: 0.0
    return found


@pytest.mark.parametrize("pace", [EARLY, LATE], ids=["before the commit", "after it"])
@pytest.mark.parametrize("stage", FAILING)
def test_a_failed_turn_is_apologised_for_and_the_next_one_works(stage: str, pace: Pace) -> None:
    async def script(talk: Talk) -> None:
        await talk.ask_ms(1000)
        await talk.ask_ms(1000)

    talk = converse(script, **engines(stage, pace))
    failed, answered = talk.turns
    assert failed.error is not None
    assert "failed." in failed.error
    assert (failed.heard, failed.interrupted) == ("", False)
    assert answered.error is None
    assert answered.heard == REPLY
    apology = talk.replies[0]
    assert length_ms(apology) == pytest.approx(APOLOGY_MS, abs=5)
    assert apology[0] == failed.marks["audible"] >= failed.marks["committed"]
    remembered = [Exchange("a question", "")] if stage != "asr" else []
    assert talk.session.history.exchanges == (*remembered, Exchange("a question", REPLY))
    assert talk.states == ["listening", "pending", "thinking", "speaking", "idle"] * 2


@pytest.mark.parametrize(
    "failing",
    [
        {"slm": FailingModel(lambda _: REPLY, Pace(60, 200), words_before=9)},
        {"slm": ScriptedModel(lambda _: REPLY), "tts": FailingSynthesizer(60, Pace(400), clauses_before=1)},
    ],
    ids=["slm", "tts"],
)
def test_a_failure_in_the_middle_of_a_reply_stops_it_and_apologises(failing: Engines) -> None:
    async def script(talk: Talk) -> None:
        await talk.ask_ms(1000)
        await talk.ask_ms(1000)

    talk = converse(script, **failing)
    failed, answered = talk.turns
    assert failed.error is not None
    assert not failed.interrupted
    assert failed.heard
    assert REPLY.startswith(failed.heard)
    assert len(failed.heard) < len(REPLY)
    assert [exchange.heard for exchange in talk.session.history.exchanges] == [failed.heard, REPLY]
    audible = talk.replies[-2][1] - talk.replies[0][0]
    assert audible > samples_from_ms(APOLOGY_MS + 60 * (len(failed.heard) - 2))
    assert answered.error is None


@pytest.mark.parametrize("stage", FAILING)
def test_who_goes_on_after_a_failure_before_the_commit_is_answered(stage: str) -> None:
    """The failed revision is dropped, and nobody hears of it."""

    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await CLOCK.sleep_s(1.3)
        assert talk.session.state is State.PENDING
        await talk.ask_ms(1000)

    talk = converse(script, **hesitant(stage))
    (turn,) = talk.turns
    assert (turn.revisions, turn.error, turn.heard) == (2, None, REPLY)
    assert len(talk.replies) == 1


@pytest.mark.parametrize("stage", FAILING)
def test_a_stop_after_a_failure_before_the_commit_discards_the_turn(stage: str) -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await CLOCK.sleep_s(1.3)
        talk.session.stop()
        await talk.quiet()
        assert talk.turns == []
        assert len(talk.of(TurnDiscarded)) == 1
        await talk.ask_ms(1000)

    talk = converse(script, **hesitant(stage))
    assert [turn.heard for turn in talk.turns] == [REPLY]
    assert len(talk.replies) == 1


def test_an_apology_can_be_interrupted() -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(0.2)
        await talk.ask_ms(1000)

    talk = converse(script, **engines("slm", EARLY))
    failed, answered = talk.turns
    assert failed.interrupted
    assert failed.error is not None
    assert len(talk.of(Interrupted)) == 1
    assert length_ms(talk.replies[0]) < APOLOGY_MS
    assert answered.heard == REPLY


class FailsOnCue(InlineSlm):
    """Its first reply fails when it is told to."""

    def __init__(self) -> None:
        super().__init__(ScriptedModel(lambda _: REPLY), CLOCK)
        self.cue = asyncio.Event()

    async def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        if self.cue.is_set():
            async for text in super().generate(messages, max_tokens, begun, session=session):
                yield text
            return
        yield "Certainly this is a long reply, and"
        await self.cue.wait()
        raise EngineError("the language model failed.")


def fail_in(state: State, words: str, over_ms: int) -> Talk:
    """Let a reply fail in a state that a sound over it has led to, which is recognised as those words."""
    slm = FailsOnCue()
    heard = iter(["a question", *[words] * 20])
    turn = ScriptedTurn(pace=Pace(0))

    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(0.3)
        talk.say_ms(over_ms)
        await talk.until(state)
        slm.cue.set()
        await CLOCK.sleep_s(0.01)
        assert talk.session.state is state
        await talk.quiet()

    stages = scripted_stages(CLOCK, ScriptedRecognizer(lambda _: next(heard), Pace(200)), turn=turn)
    return converse(script, stages=replace(stages, slm=slm))


@pytest.mark.parametrize(
    ("state", "over_ms"),
    [(State.OVERLAP, 80), (State.PAUSED, 700), (State.WEIGHING, 300)],
    ids=str,
)
def test_a_reply_that_fails_while_a_noise_is_heard_is_apologised_for(state: State, over_ms: int) -> None:
    talk = fail_in(state, "", over_ms)
    (turn,) = talk.turns
    assert (turn.error, turn.interrupted) == ("the language model failed.", False)
    assert "Certainly this is a long reply,".startswith(turn.heard)
    assert len(talk.of(Resumed)) == (state is not State.OVERLAP)
    assert length_ms(talk.replies[-1]) == pytest.approx(APOLOGY_MS, abs=5)
    assert talk.states[-1] == "idle"


@pytest.mark.parametrize(("state", "over_ms"), [(State.PAUSED, 700), (State.WEIGHING, 300)], ids=str)
def test_who_has_interrupted_a_reply_that_then_fails_is_answered_and_hears_no_apology(
    state: State, over_ms: int
) -> None:
    talk = fail_in(state, "what about Spain", over_ms)
    failed, answered = talk.turns
    assert (failed.error, failed.interrupted) == ("the language model failed.", True)
    assert (answered.user, answered.heard, answered.error) == ("what about Spain", REPLY, None)
    first, second = talk.replies
    assert length_ms(first) < 600
    assert ms_from_samples(second[0] - first[1]) > over_ms - 200


@pytest.mark.parametrize("words", ["", "what about Spain"])
def test_an_apology_that_is_held_is_heard_from_its_beginning_or_not_again(words: str) -> None:
    heard = iter(["a question", *[words] * 20])

    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(0.3)
        await talk.ask_ms(500)

    asr = ScriptedRecognizer(lambda _: next(heard))
    talk = converse(script, asr=asr, slm=FailingModel(lambda _: REPLY, EARLY))
    assert [turn.interrupted for turn in talk.turns] == ([True, False] if words else [False])
    assert talk.turns[0].error is not None
    apologies = [length_ms(stretch) == pytest.approx(APOLOGY_MS, abs=5) for stretch in talk.replies]
    assert apologies == ([False, False] if words else [False, True])


def test_everything_fails_and_the_conversation_still_goes_on() -> None:
    async def script(talk: Talk) -> None:
        for _ in range(4):
            await talk.ask_ms(800)

    talk = converse(
        script,
        asr=FailingRecognizer(lambda _: "a question"),
        slm=FailingModel(lambda _: REPLY),
        tts=FailingSynthesizer(),
    )
    assert [turn.error for turn in talk.turns] == [
        "the recogniser failed.",
        "the language model failed.",
        "the synthesizer failed.",
        None,
    ]
    assert len(talk.replies) == 4
