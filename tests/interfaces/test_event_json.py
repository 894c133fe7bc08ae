from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

import pytest

from voicebot import events
from voicebot.events import Event, StateChanged, TurnEnded, TurnEnergy
from voicebot.interfaces.event_json import event_json, event_name, json_line, json_values

EXAMPLES: dict[Any, Any] = {
    str: "Grüße\n",
    int: 16_000,
    int | None: None,
    float: 0.5,
    bool: True,
    str | None: "why",
    tuple[str, ...]: ("asr",),
    Mapping[str, int]: MappingProxyType({"audible": 20_000}),
    Mapping[str, float]: {"asr": 1.5},
    Mapping[str, str]: {"asr": "busy"},
    tuple[tuple[str, float, float], ...]: (("asr", 1.0, 2.0),),
}


def example(kind: type[Event]) -> Event:
    hints = get_type_hints(kind, vars(events))
    return kind(**{field.name: EXAMPLES[hints[field.name]] for field in dataclasses.fields(kind)})


@pytest.mark.parametrize("kind", get_args(Event))
def test_every_event_has_all_its_fields(kind: type[Event]) -> None:
    told = event_json(example(kind))
    assert told["event"] == event_name(kind)
    assert {field.name for field in dataclasses.fields(kind)} <= set(told)
    assert json.loads(json_line(told)) == told
    assert json_line(told).count(b"\n") == 1


def test_names_are_all_different() -> None:
    assert event_name(TurnEnded) == "turn_ended"
    assert len({event_name(kind) for kind in get_args(Event)}) == len(get_args(Event))


def test_a_state() -> None:
    told = event_json(StateChanged("local", 320, "listening"))
    assert told == {"event": "state_changed", "session": "local", "at_sample": 320, "state": "listening"}


def test_a_turn_tells_how_long_the_user_waited() -> None:
    turn = example(TurnEnded)
    assert event_json(turn)["voice_to_voice_ms"] == 250.0
    assert event_json(turn)["requests_ms"] == [["asr", 1.0, 2.0]]
    assert isinstance(turn, TurnEnded)
    assert event_json(dataclasses.replace(turn, marks={}))["voice_to_voice_ms"] is None


@pytest.mark.parametrize("joules", [math.nan, math.inf])
def test_what_is_no_number_is_null(joules: float) -> None:
    assert event_json(TurnEnergy("local", 1, joules, measured=True))["joules"] is None


def test_other_things_become_their_names() -> None:
    assert json_values({1: {"a"}, "b": Path("/c")}) == {"1": ["a"], "b": "/c"}
