"""What the box is doing, in one word."""

from __future__ import annotations

import pytest

from voicebot.events import StateChanged, WorkerChanged
from voicebot.interfaces.public_state import BoxState
from voicebot.turn.table import State


def at(state: str, session: str = "local") -> StateChanged:
    return StateChanged(session, 0, state)


def seen(*events: StateChanged | WorkerChanged) -> list[str]:
    box = BoxState()
    states: list[str] = []
    for event in events:
        box.follow(event)
        states.append(box.overall)
    return states


@pytest.mark.parametrize(
    ("state", "public"),
    [
        *((State.IDLE, "idle"), (State.LISTENING, "listening"), (State.PENDING, "listening")),
        *((State.THINKING, "thinking"), (State.SPEAKING, "speaking"), (State.OVERLAP, "speaking")),
        *((State.PAUSED, "listening"), (State.WEIGHING, "listening")),
    ],
)
def test_every_state_of_a_turn_has_a_word(state: State, public: str) -> None:
    assert seen(at(state.value)) == [public]


def test_the_busiest_conversation_counts() -> None:
    box = BoxState(sessions={"local": "pending", "kitchen": "idle"})
    assert box.overall == "listening"
    box.follow(at("speaking", "kitchen"))
    assert (box.overall, box.sessions) == ("speaking", {"local": "listening", "kitchen": "speaking"})
    box.follow(at("closed", "kitchen"))
    box.follow(at("idle"))
    assert (box.overall, box.sessions) == ("idle", {"local": "idle"})


def test_muted_shows_while_nobody_is_answered() -> None:
    states = [at("idle"), at("muted", ""), at("speaking"), at("idle"), at("unmuted", "")]
    assert seen(*states) == ["idle", "muted", "speaking", "muted", "idle"]
    assert BoxState(muted=True).overall == "muted"


def test_a_missing_worker_comes_before_all_else() -> None:
    changes = ["loading", "ready", "died", "loading", "ready"]
    told = [WorkerChanged("asr", state, 1, "") for state in changes]
    assert seen(at("speaking"), *told) == ["speaking", "speaking", "speaking", "broken", "broken", "speaking"]
