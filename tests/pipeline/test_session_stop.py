"""Stop, and the end of a session, in every state."""

from __future__ import annotations

import asyncio

import pytest

from tests.virtual_conversation import CLOCK, Talk, converse, length_ms, tasks_left
from voicebot.audio import samples_from_ms
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer
from voicebot.events import Interrupted, TurnDiscarded
from voicebot.turn.table import State

REPLY = "First of all, this is a reply. It has a second sentence. It has a third one as well."
STATES = list(State)
OVER_A_REPLY = {State.OVERLAP, State.PAUSED, State.WEIGHING}
WITH_A_REPLY = {State.THINKING, State.SPEAKING} | OVER_A_REPLY


async def lead_to(talk: Talk, state: State) -> None:
    """Let the conversation come to a state and stay in it for a moment."""
    if state is State.IDLE:
        await CLOCK.sleep_s(0.5)
        return
    talk.say_ms(1000)
    if state in OVER_A_REPLY:
        await talk.until(State.SPEAKING)
        await CLOCK.sleep_s(1)
        talk.say_ms(200 if state is State.WEIGHING else 600)
    await talk.until(state)
    await CLOCK.sleep_s({State.SPEAKING: 1, State.OVERLAP: 0.065}.get(state, 0.03))
    assert talk.session.state is state


def slow() -> dict[str, ScriptedModel | ScriptedRecognizer]:
    """Return engines that leave a moment in each state."""
    return {
        "asr": ScriptedRecognizer(lambda _: "a question", Pace(300)),
        "slm": ScriptedModel(lambda _: REPLY, Pace(400, 5)),
    }


@pytest.mark.parametrize("state", STATES)
def test_stop_ends_whatever_goes_on_and_the_next_turn_works(state: State) -> None:
    async def script(talk: Talk) -> None:
        await lead_to(talk, state)
        before = len(talk.reply)
        talk.session.stop()
        assert talk.session.state is State.IDLE
        await talk.quiet()
        assert len(talk.replies) <= 1
        assert all(end <= before + samples_from_ms(20 + 10) for _, end in talk.replies)
        await talk.ask_ms(1000)

    talk = converse(script, **slow())  # type: ignore[arg-type]
    *stopped, answered = talk.turns
    assert answered.heard == REPLY
    assert not answered.interrupted
    assert talk.of(Interrupted) == []  # which is the user's voice, not a button
    assert [turn.interrupted for turn in stopped] == [True] * (state in WITH_A_REPLY)
    assert len(talk.of(TurnDiscarded)) == (state in {State.LISTENING, State.PENDING})
    heard = [exchange.heard for exchange in talk.session.history.exchanges]
    assert heard == [turn.heard for turn in talk.turns]
    for turn in stopped:
        assert REPLY.startswith(turn.heard)
        assert bool(turn.heard) == (state is not State.THINKING)
    assert length_ms(talk.replies[-1]) == pytest.approx(60 * len(REPLY), abs=200)  # no spaces between clauses


@pytest.mark.parametrize("state", STATES)
def test_stop_pressed_twice_is_stop(state: State) -> None:
    async def script(talk: Talk) -> None:
        await lead_to(talk, state)
        talk.session.stop()
        talk.session.stop()
        await CLOCK.sleep_s(0.1)
        talk.session.stop()
        await talk.quiet()

    talk = converse(script, **slow())  # type: ignore[arg-type]
    assert len(talk.turns) <= 1


@pytest.mark.parametrize("state", STATES)
def test_the_end_of_the_microphone_ends_whatever_goes_on(state: State) -> None:
    async def script(talk: Talk) -> None:
        await lead_to(talk, state)

    talk = converse(script, **slow())  # type: ignore[arg-type]
    assert talk.session.state is State.IDLE
    assert len(talk.turns) == (state in WITH_A_REPLY)


@pytest.mark.parametrize("after_ms", [0, 1, 7, 20, 33, 150])
@pytest.mark.parametrize("state", STATES)
def test_a_cancelled_session_leaves_no_tasks(state: State, after_ms: int) -> None:
    async def script(talk: Talk) -> None:
        await lead_to(talk, state)
        await CLOCK.sleep_s(after_ms / 1000)
        session = next(task for task in asyncio.all_tasks() if task is not asyncio.current_task() and is_session(task))
        session.cancel()
        with pytest.raises(asyncio.CancelledError):
            await session
        assert tasks_left() == set()

    converse(script, **slow())  # type: ignore[arg-type]


def is_session(task: asyncio.Task[object]) -> bool:
    return task.get_name() == "session"


@pytest.mark.parametrize("after_ms", range(20, 300, 20))
def test_what_was_being_said_when_stop_was_pressed_is_forgotten(after_ms: int) -> None:
    """Also when the speech is confirmed only after that."""

    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.LISTENING)
        await CLOCK.sleep_s(after_ms / 1000)
        talk.session.stop()
        await talk.quiet()
        assert len(talk.of(TurnDiscarded)) == 1
        await talk.ask_ms(1000)

    talk = converse(script, **slow())  # type: ignore[arg-type]
    assert [turn.turn for turn in talk.turns] == [2]


@pytest.mark.parametrize("state", [State.PAUSED, State.WEIGHING])
def test_stop_ends_the_look_at_what_is_being_said(state: State) -> None:
    async def script(talk: Talk) -> None:
        await lead_to(talk, state)
        await CLOCK.sleep_s(0.3 if state is State.PAUSED else 0)
        assert "partial" in tasks_left()
        talk.session.stop()
        await CLOCK.sleep_s(0.001)
        assert "partial" not in tasks_left()

    converse(script, **slow())  # type: ignore[arg-type]


def test_a_stop_while_the_prefix_is_being_prepared_changes_nothing() -> None:
    async def script(talk: Talk) -> None:
        talk.session.stop()
        await talk.ask_ms(1000)

    assert converse(script).turns[0].error is None


def test_a_session_that_has_ended_can_be_stopped() -> None:
    async def script(talk: Talk) -> None:
        await lead_to(talk, State.SPEAKING)
        talk.port.end()
        await CLOCK.sleep_s(0.1)
        talk.session.stop()
        assert talk.session.state is State.IDLE

    assert len(converse(script).turns) == 1
