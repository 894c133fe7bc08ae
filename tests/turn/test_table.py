"""The turn machine is its table: complete, reachable, and deaf to whatever it does not list."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from voicebot.errors import IllegalEventError
from voicebot.turn.table import TABLE, Action, State, TurnEvent, TurnMachine, as_markdown

ILLEGAL = [pair for pair in product(State, TurnEvent) if pair not in TABLE]


def machine_in(state: State) -> TurnMachine:
    machine = TurnMachine()
    machine.state = state
    return machine


def through(*events: TurnEvent) -> tuple[State, list[Action]]:
    """Return where a new machine ends after some events, and what it had done on the way."""
    machine = TurnMachine()
    actions = [action for event in events for action in machine.on(event)]
    return machine.state, actions


@pytest.mark.parametrize(("state", "event"), TABLE)
def test_a_listed_event_leads_on_and_returns_its_actions(state: State, event: TurnEvent) -> None:
    machine = machine_in(state)
    assert (machine.on(event), machine.state) == TABLE[state, event][::-1]


@pytest.mark.parametrize(("state", "event"), ILLEGAL)
def test_an_event_that_is_not_listed_raises_and_changes_nothing(state: State, event: TurnEvent) -> None:
    machine = machine_in(state)
    with pytest.raises(IllegalEventError, match=f"{event.value!r} while {state.value}"):
        machine.on(event)
    assert machine.state is state


def test_an_observer_is_told_of_every_event_before_it_takes_effect() -> None:
    machine, told = machine_in(State.PENDING), list[tuple[State, TurnEvent, object, State]]()
    machine.observer = lambda state, event, step: told.append((state, event, step, machine.state))
    machine.on(TurnEvent.END_OF_TURN)
    with pytest.raises(IllegalEventError):
        machine.on(TurnEvent.MEANT)
    assert told == [
        (State.PENDING, TurnEvent.END_OF_TURN, (State.THINKING, (Action.COMMIT,)), State.PENDING),
        (State.THINKING, TurnEvent.MEANT, None, State.THINKING),
    ]


def test_every_state_can_be_reached_and_left_for_idle() -> None:
    following = {state: {TABLE[pair][0] for pair in TABLE if pair[0] is state} for state in State}
    for start in State:
        reached = {start}
        while new := {after for state in reached for after in following[state]} - reached:
            reached |= new
        assert reached == set(State)


def test_every_action_is_used() -> None:
    assert {action for _, actions in TABLE.values() for action in actions} == set(Action)


def test_stop_leads_to_idle_from_everywhere() -> None:
    assert {TABLE[state, TurnEvent.STOP][0] for state in State} == {State.IDLE}


def test_nothing_is_audible_without_a_commit() -> None:
    assert [state for state, event in TABLE if event is TurnEvent.REPLY_AUDIBLE] == [
        State.THINKING,
        State.SPEAKING,
        State.OVERLAP,
        State.PAUSED,
        State.WEIGHING,
    ]
    into_thinking = [
        step for (state, _), step in TABLE.items() if step[0] is State.THINKING and state is not State.THINKING
    ]
    assert [actions[-1] for _, actions in into_thinking] == [Action.COMMIT, Action.COMMIT]


def test_a_text_from_elsewhere_is_answered_where_nobody_speaks() -> None:
    assert through(TurnEvent.PROMPTED, TurnEvent.REPLY_AUDIBLE, TurnEvent.REPLY_ENDED) == (
        State.IDLE,
        [Action.OPEN_TURN, Action.START_PROMPTED, Action.COMMIT, Action.CLOSE_TURN],
    )
    assert [state for state, event in TABLE if event is TurnEvent.PROMPTED] == [State.IDLE]


def test_a_question_and_its_answer() -> None:
    assert through(
        TurnEvent.SPEECH_STARTED,
        TurnEvent.SPEECH_CONFIRMED,
        TurnEvent.SOFT_END,
        TurnEvent.END_OF_TURN,
        TurnEvent.REPLY_AUDIBLE,
        TurnEvent.REPLY_ENDED,
    ) == (State.IDLE, [Action.OPEN_TURN, Action.START_REVISION, Action.COMMIT, Action.CLOSE_TURN])


def test_going_on_after_a_pause_replaces_the_revision_and_keeps_the_turn() -> None:
    assert through(TurnEvent.SPEECH_STARTED, TurnEvent.SOFT_END, TurnEvent.SPEECH_STARTED, TurnEvent.SOFT_END) == (
        State.PENDING,
        [Action.OPEN_TURN, Action.START_REVISION, Action.DROP_REVISION, Action.START_REVISION],
    )


SPEAKING = (TurnEvent.SPEECH_STARTED, TurnEvent.SOFT_END, TurnEvent.END_OF_TURN, TurnEvent.REPLY_AUDIBLE)
SPOKEN_OVER = (*SPEAKING, TurnEvent.SPEECH_SIGN, TurnEvent.SPEECH_STARTED, TurnEvent.SPEECH_CONFIRMED)


def test_a_click_over_the_reply_only_ducks_it() -> None:
    state, actions = through(*SPEAKING, TurnEvent.SPEECH_SIGN, TurnEvent.SIGN_FADED)
    assert (state, actions[-2:]) == (State.SPEAKING, [Action.DUCK, Action.UNDUCK])


def test_a_cough_over_the_reply_only_ducks_it() -> None:
    state, actions = through(*SPEAKING, TurnEvent.SPEECH_SIGN, TurnEvent.SPEECH_STARTED, TurnEvent.SOFT_END)
    assert (state, actions[-2:]) == (State.SPEAKING, [Action.DUCK, Action.UNDUCK])


def test_confirmed_speech_over_the_reply_holds_it() -> None:
    state, actions = through(*SPOKEN_OVER)
    assert (state, actions[-2:]) == (State.PAUSED, [Action.DUCK, Action.PAUSE])


def test_what_was_meant_interrupts_the_reply_and_opens_the_next_turn() -> None:
    state, actions = through(*SPOKEN_OVER, TurnEvent.MEANT)
    assert (state, actions[-2:]) == (State.LISTENING, [Action.INTERRUPT, Action.OPEN_TURN])


def test_what_was_meant_and_has_ended_is_worked_on_at_once() -> None:
    state, actions = through(*SPOKEN_OVER, TurnEvent.SOFT_END, TurnEvent.MEANT)
    assert (state, actions[-3:]) == (State.PENDING, [Action.INTERRUPT, Action.OPEN_TURN, Action.START_REVISION])


@pytest.mark.parametrize("paused", [(), (TurnEvent.SOFT_END,), (TurnEvent.SOFT_END, TurnEvent.SPEECH_STARTED)])
def test_what_was_not_meant_lets_the_reply_go_on(paused: tuple[TurnEvent, ...]) -> None:
    state, actions = through(*SPOKEN_OVER, *paused, TurnEvent.NOT_MEANT)
    assert (state, actions[-2:]) == (State.SPEAKING, [Action.PAUSE, Action.RESUME])


def test_without_words_to_decide_by_the_reply_goes_on_when_the_silence_is_long() -> None:
    state, actions = through(*SPOKEN_OVER, TurnEvent.SOFT_END, TurnEvent.END_OF_TURN)
    assert (state, actions[-2:]) == (State.SPEAKING, [Action.PAUSE, Action.RESUME])


def test_a_reply_is_held_and_goes_on_in_pairs() -> None:
    """Into the states where it is held leads only a pause, and out of them leads its end or a resumption."""
    held = {State.PAUSED, State.WEIGHING}
    for (state, event), (after, actions) in TABLE.items():
        assert (Action.PAUSE in actions) == (state not in held and after in held), (state, event)
        if state in held and after not in held:
            assert actions[0] in {Action.RESUME, Action.INTERRUPT, Action.CLOSE_TURN}, (state, event)


@pytest.mark.parametrize("state", State)
def test_signs_of_speech_are_allowed_everywhere(state: State) -> None:
    for event in (TurnEvent.SPEECH_SIGN, TurnEvent.SIGN_FADED):
        after, actions = TABLE[state, event]
        if state not in {State.SPEAKING, State.OVERLAP}:
            assert (after, actions) == (state, ())


def test_the_documentation_lists_every_row() -> None:
    lines = as_markdown().splitlines()
    assert lines[:2] == ["| state | event | next state | actions |", "| --- | --- | --- | --- |"]
    assert len(lines) == 2 + len(TABLE)
    assert "| idle | speech started | listening | open turn |" in lines
    assert "| overlap | speech confirmed | paused | pause |" in lines
    assert "| idle | soft end | idle | - |" in lines


def test_the_documentation_shows_this_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "architecture.md"
    assert f"<!-- table -->\n{as_markdown()}\n<!-- /table -->" in page.read_text("utf-8"), "run make docs"
