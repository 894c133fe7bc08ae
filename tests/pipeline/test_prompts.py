"""Texts from elsewhere become turns when nobody speaks, one after the other."""

from __future__ import annotations

import asyncio

import pytest

from tests.virtual_conversation import CLOCK, Talk, converse, length_ms, tasks_left
from voicebot.audio import ms_from_samples, samples_from_ms
from voicebot.clock import run_virtual
from voicebot.engines.scripted import Pace, ScriptedModel
from voicebot.events import Transcribed, TurnEnded
from voicebot.pipeline.prompts import BusyError, EndedError, Prompts
from voicebot.turn.table import State

TEXT = "The kettle is hot. It has boiled for a minute."


def test_a_text_is_said_as_it_stands_and_is_no_part_of_the_conversation() -> None:
    async def script(talk: Talk) -> None:
        turn = await talk.session.say(TEXT)
        assert (turn.user, turn.reply, turn.heard, turn.source) == ("", TEXT, TEXT, "say")
        assert not turn.interrupted

    talk = converse(script, slm=ScriptedModel(lambda _: "never asked"))
    assert length_ms((talk.replies[0][0], talk.replies[-1][1])) == pytest.approx(60 * len(TEXT), abs=200)
    assert talk.of(Transcribed) == []
    assert talk.session.history.exchanges == ()


def test_a_request_is_answered_aloud_and_remembered() -> None:
    async def script(talk: Talk) -> None:
        begun = talk.port.now_sample()
        turn = await talk.session.ask("What is the capital of France?")
        assert (turn.user, turn.reply, turn.source) == ("What is the capital of France?", "It is Paris.", "slm")
        assert ms_from_samples(turn.marks["audible"] - begun) < 700
        assert (await talk.ask_ms(1000)).heard == "It is Paris."

    talk = converse(script, slm=ScriptedModel(lambda _: "It is Paris."))
    assert [exchange.heard for exchange in talk.session.history.exchanges] == ["It is Paris.", "It is Paris."]


def test_it_waits_until_nobody_speaks_and_those_after_it_for_their_turn() -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(1500)
        await talk.until(State.LISTENING)
        said = [talk.session.say("First."), talk.session.say("Second.")]
        await asyncio.gather(*said)

    talk = converse(script, slm=ScriptedModel(lambda _: "A reply."))
    assert [turn.heard for turn in talk.turns] == ["A reply.", "First.", "Second."]
    assert [turn.turn for turn in talk.turns] == [1, 2, 3]


def test_who_speaks_before_it_is_audible_goes_first() -> None:
    async def script(talk: Talk) -> None:
        asked = talk.session.ask("What is slow?")
        await talk.until(State.THINKING)
        spoken_at = talk.say_ms(1000)
        assert (await asked).user == "What is slow?"
        user_first = talk.turns[0]
        assert user_first.user == "what about question one"
        assert user_first.speech_end_sample == pytest.approx(spoken_at + samples_from_ms(1000), abs=3000)

    talk = converse(script, slm=ScriptedModel(lambda _: "Slow.", Pace(900, 5)))
    assert [turn.user for turn in talk.turns] == ["what about question one", "What is slow?"]


def test_it_can_be_interrupted_by_voice_and_by_a_button() -> None:
    async def script(talk: Talk) -> None:
        said = talk.session.say(TEXT * 3)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(1)
        talk.session.stop()
        assert (await said).interrupted
        said = talk.session.say(TEXT * 3)
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(1)
        talk.say_ms(900)
        turn = await said
        assert turn.interrupted
        assert 0 < len(turn.heard) < len(TEXT)

    converse(script)


def test_what_waits_at_the_end_is_given_up() -> None:
    waiting: list[asyncio.Future[TurnEnded]] = []

    async def script(talk: Talk) -> None:
        talk.say_ms(3000)
        await talk.until(State.LISTENING)
        waiting.append(talk.session.say(TEXT))

    talk = converse(script)
    assert waiting[0].cancelled()
    with pytest.raises(EndedError):
        talk.session.ask(TEXT)


def test_no_more_wait_than_there_is_room_for_and_who_gives_up_makes_room() -> None:
    async def main() -> None:
        prompts = Prompts()
        ends = [prompts.add(f"text {number}", asked=False) for number in range(8)]
        with pytest.raises(BusyError, match="8 texts wait"):
            prompts.add("one more", asked=False)
        ends[0].cancel()
        taken = prompts.take()
        assert taken is not None
        assert (taken.text, prompts.current) == ("text 1", taken)
        prompts.put_back()
        assert prompts.current is None
        assert prompts.take() is taken
        assert tasks_left() == set()

    run_virtual(main())
