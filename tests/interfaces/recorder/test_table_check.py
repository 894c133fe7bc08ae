"""What was recorded is fed to the turn table again, and whatever is another one is told."""

from __future__ import annotations

from pathlib import Path

from voicebot.errors import IllegalEventError
from voicebot.interfaces.recorder.recording import Decision, Header, Record, Recording
from voicebot.interfaces.recorder.table_check import check_table
from voicebot.turn.table import TABLE, State, TurnEvent, TurnMachine

HEADER = Header(voicebot="1", saved_at="2026-11-22", reason="", minutes=1, pipeline={}, audio={})
WALK = (
    *(TurnEvent.SPEECH_STARTED, TurnEvent.SPEECH_CONFIRMED, TurnEvent.SOFT_END, TurnEvent.SPEECH_STARTED),
    *(TurnEvent.SOFT_END, TurnEvent.END_OF_TURN, TurnEvent.MEANT, TurnEvent.REPLY_AUDIBLE, TurnEvent.SPEECH_SIGN),
    *(TurnEvent.SPEECH_CONFIRMED, TurnEvent.SOFT_END, TurnEvent.MEANT, TurnEvent.STOP),
)
"""A turn, an event that is not allowed, and an interruption."""


def recorded(events: tuple[TurnEvent, ...] = WALK, session: str = "1-local") -> list[Record]:
    """Return what the recorder has of a machine that these events came to."""
    records: list[Record] = []
    machine = TurnMachine()
    for number, event in enumerate(events):
        before = machine.state
        try:
            actions = tuple(action.value for action in machine.on(event))
        except IllegalEventError:
            actions = None
        decision = Decision(
            at_sample=number, state=before.value, event=event.value, next=machine.state.value, actions=actions
        )
        records.append(Record(ago_s=float(100 - number), session=session, decision=decision))
    return records


def differences(records: list[Record]) -> list[str]:
    check = check_table(Recording(Path("x.jsonl"), HEADER, tuple(records)))
    assert check.decisions == sum(record.decision is not None for record in records)
    return check.differences


def changed(record: Record, **values: object) -> Record:
    assert record.decision is not None
    return record.model_copy(update={"decision": record.decision.model_copy(update=values)})


def test_every_line_of_the_table_decides_the_same_again() -> None:
    for number, (state, event) in enumerate(TABLE):
        following, actions = TABLE[state, event]
        decision = Decision(
            at_sample=0,
            state=state.value,
            event=event.value,
            next=following.value,
            actions=tuple(action.value for action in actions),
        )
        assert differences([Record(ago_s=1, session=f"{number}-x", decision=decision)]) == []


def test_a_conversation_decides_the_same_again_wherever_the_recording_begins() -> None:
    for begin in range(len(WALK)):
        assert differences(recorded()[begin:]) == []


def test_sessions_beside_each_other_have_machines_of_their_own() -> None:
    beside = [one for pair in zip(recorded(), recorded(session="2-kitchen"), strict=True) for one in pair]
    assert differences(beside) == []


def test_another_action_and_another_state_are_told_once_each() -> None:
    records = recorded()
    records[5] = changed(records[5], actions=("commit", "duck"))
    (sentence,) = differences(records)
    assert sentence.startswith(
        "1-local, 95.000 s before the end: 'end of turn' while pending led to thinking (commit, duck);"
    )
    assert sentence.endswith("; this table has thinking (commit).")
    records = recorded()
    records[6] = changed(records[6], next="speaking", actions=())
    first, second = differences(records)
    assert first.endswith(
        "'meant' while thinking led to speaking (nothing to do); this table has nothing, as not allowed."
    )
    assert second.endswith("it is thinking, but was speaking after what came before; something is missing.")


def test_what_is_missing_is_told() -> None:
    records = recorded()
    del records[2]
    (sentence,) = differences(records)
    assert sentence.endswith("it is pending, but was listening after what came before; something is missing.")


def test_names_that_this_table_does_not_have_are_differences() -> None:
    records = recorded()
    assert len(differences([changed(records[0], state="dreaming")])) == 1
    assert len(differences([changed(records[0], event="earthquake")])) == 1
    assert differences([changed(records[0], event="earthquake", next="idle", actions=None)]) == []
    assert State.IDLE.value == "idle"
