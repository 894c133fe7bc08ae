"""Feeds what was recorded to the turn table again: it has to decide as it did then."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from voicebot.errors import IllegalEventError
from voicebot.interfaces.recorder.recording import Decision, Record, Recording
from voicebot.turn.table import State, TurnEvent, TurnMachine

_STATES = {state.value: state for state in State}
_EVENTS = {event.value: event for event in TurnEvent}


@dataclass(slots=True)
class TableCheck:
    """How often the table was asked, and a sentence for each time that it, or the recording, was another one."""

    decisions: int = 0
    differences: list[str] = field(default_factory=list)


def check_table(recording: Recording) -> TableCheck:
    """Feed each session's events to a turn machine of its own, which begins where the recording does."""
    check = TableCheck()
    machines: dict[str, TurnMachine] = {}
    for record in recording.records:
        recorded = record.decision
        if recorded is None:
            continue
        check.decisions += 1
        machine = machines.get(record.session)
        if machine is None:
            machine = machines[record.session] = TurnMachine()
        elif machine.state.value != recorded.state:
            check.differences.append(
                f"{_place(record)}: it is {recorded.state}, but was {machine.state.value} after what came before; "
                "something is missing."
            )
        machine.state = _STATES.get(recorded.state, machine.state)
        found = _decide(machine, recorded)
        if found != recorded:
            check.differences.append(
                f"{_place(record)}: {recorded.event!r} while {recorded.state} led to {_outcome(recorded)}; "
                f"this table has {_outcome(found)}."
            )
            machine.state = _STATES.get(recorded.next, machine.state)
    return check


def _decide(machine: TurnMachine, recorded: Decision) -> Decision:
    """Return what the machine makes of the event; a name that this table does not have leads nowhere."""
    event, before = _EVENTS.get(recorded.event), machine.state.value
    actions = None
    if event is not None:
        with contextlib.suppress(IllegalEventError):
            actions = tuple(action.value for action in machine.on(event))
    return recorded.model_copy(update={"state": before, "next": machine.state.value, "actions": actions})


def _outcome(decision: Decision) -> str:
    if decision.actions is None:
        return "nothing, as not allowed"
    return f"{decision.next} ({', '.join(decision.actions) or 'nothing to do'})"


def _place(record: Record) -> str:
    return f"{record.session}, {record.ago_s:.3f} s before the end"
