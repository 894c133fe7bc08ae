"""Texts from elsewhere become turns when nobody speaks, one after the other."""

from __future__ import annotations

import asyncio

import pytest

from tests.virtual_conversation import CLOCK, Talk, converse, length_ms, settings, tasks_left
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
        taken = prompts.take(State.IDLE, quiet=True)
        assert taken is not None
        assert (taken.text, prompts.current) == ("text 1", taken)
        prompts.put_back()
        assert prompts.current is None
        assert prompts.take(State.IDLE, quiet=True) is taken
        assert tasks_left() == set()

    run_virtual(main())


def test_after_its_longest_wait_it_is_spoken_over_whoever_talks_to_somebody_else() -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(10_000)
        await CLOCK.sleep_s(1)
        asked_at = talk.port.now_sample()
        turn = await talk.session.say("Dinner is ready.", 3)
        assert (turn.heard, turn.interrupted) == ("Dinner is ready.", False)
        assert 3000 <= ms_from_samples(turn.marks["audible"] - asked_at) < 3500

    talk = converse(script, settings(wake={"mode": "push"}))
    assert len(talk.turns) == 1


def test_after_its_longest_wait_it_is_given_up_while_somebodys_turn_goes_on() -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(10_000)
        await talk.until(State.LISTENING)
        begun = talk.port.now_sample()
        with pytest.raises(BusyError, match="talked for 3 s without an end"):
            await talk.session.ask("Who?", 3)
        assert ms_from_samples(talk.port.now_sample() - begun) == pytest.approx(3000, abs=50)
        await talk.quiet()

    talk = converse(script, slm=ScriptedModel(lambda _: "A reply."))
    assert [turn.heard for turn in talk.turns] == ["A reply."]


def test_our_own_reply_does_not_count_as_waiting() -> None:
    async def script(talk: Talk) -> None:
        said = [talk.session.say(text, 3) for text in (TEXT * 3, "Second.")]
        assert [(await each).heard for each in said] == [TEXT * 3, "Second."]

    converse(script)


def test_who_was_not_called_does_not_go_first() -> None:
    async def script(talk: Talk) -> None:
        asked = talk.session.ask("What is slow?")
        await talk.until(State.THINKING)
        talk.say_ms(600)
        turn = await asked
        assert (turn.heard, turn.interrupted) == ("Slow.", False)
        await talk.quiet()

    talk = converse(script, settings(wake={"mode": "push"}), slm=ScriptedModel(lambda _: "Slow.", Pace(900, 5)))
    assert [turn.user for turn in talk.turns] == ["What is slow?"]


def test_one_that_has_waited_its_longest_goes_first() -> None:
    async def main() -> None:
        prompts = Prompts()
        prompts.add("a text", asked=False, longest_wait_s=0.04)
        assert prompts.take(State.SPEAKING, quiet=False) is None
        assert prompts.take(State.IDLE, quiet=False) is None
        assert prompts.take(State.IDLE, quiet=False) is prompts.current is not None
        assert prompts.goes_first(State.THINKING, attentive=True)
        assert not prompts.goes_first(State.SPEAKING, attentive=True)

    run_virtual(main())
