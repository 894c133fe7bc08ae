"""An event as JSON: the same for every interface."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from voicebot.events import Event, TurnEnded
from voicebot.latency.marks import voice_to_voice_ms


def event_json(event: Event) -> dict[str, Any]:
    """Return {"event": "turn_ended", ...}, with the event's fields by their names; a turn has its voice_to_voice_ms."""
    told: dict[str, Any] = {"event": event_name(type(event))}
    told |= {field.name: json_values(getattr(event, field.name)) for field in fields(event)}
    if isinstance(event, TurnEnded):
        told["voice_to_voice_ms"] = voice_to_voice_ms(event.marks, event.speech_end_sample)
    return told


def event_name(kind: type[Event]) -> str:
    """Return what an event of that type is called: "turn_ended" for TurnEnded."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def json_values(value: object) -> Any:  # noqa: ANN401 - what it is made of is not known
    """Return the same out of dicts, lists and what JSON can hold. A number that is none becomes null."""
    match value:
        case Mapping():
            return {str(key): json_values(one) for key, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [json_values(one) for one in value]
        case float() if not math.isfinite(value):
            return None
        case str() | bool() | int() | float() | None:
            return value
        case _:
            return str(value)


def json_line(value: Mapping[str, Any]) -> bytes:
    """Return one line of ASCII: a line break in a text is escaped."""
    return json.dumps(json_values(value), separators=(",", ":")).encode("ascii") + b"\n"
