"""Tools of many kinds of arguments, and what the arguments of each have to be, checked without any schema."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import date, time
from typing import Any

from voicebot.engines.protocols import Tool
from voicebot.engines.tools import parse_tools

Valid = Callable[[dict[str, Any]], bool]


def tool(name: str, properties: dict[str, Any], required: list[str] | None = None) -> Tool:
    parameters = {"type": "object", "properties": properties, "required": required or list(properties)}
    (checked,) = parse_tools(json.dumps([{"name": name, "parameters": parameters}]))
    return checked


LIGHT = tool("light", {"room": {"enum": ["kitchen", "Küche \U0001f642", 'a "b" \\']}, "on": {"type": "boolean"}})
TIMER = tool(
    "set_timer",
    {"minutes": {"type": "integer", "minimum": 7, "maximum": 123}, "label": {"type": "string", "maxLength": 20}},
    ["minutes"],
)
ORDER = tool(
    "order",
    {
        "to": {
            "type": "object",
            "properties": {
                "street": {"type": "string", "minLength": 3, "maxLength": 30},
                "floor": {"type": ["integer", "null"], "minimum": -2, "maximum": 9},
            },
            "required": ["street", "floor"],
        },
        "items": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {"anyOf": [{"type": "number"}, {"const": "free"}, {"type": "string", "maxLength": 12}]},
        },
    },
)
WHEN = tool("when", {"day": {"type": "string", "format": "date"}, "at": {"type": "string", "format": "time"},
                     "id": {"type": "string", "format": "uuid"}})  # fmt: skip


def valid_light(arguments: dict[str, Any]) -> bool:
    return arguments.keys() == {"room", "on"} and arguments["room"] in LIGHT.parameters["properties"]["room"]["enum"] \
        and isinstance(arguments["on"], bool)  # fmt: skip


def valid_timer(arguments: dict[str, Any]) -> bool:
    minutes, label = arguments["minutes"], arguments.get("label", "")
    return (
        arguments.keys() <= {"minutes", "label"}
        and type(minutes) is int
        and 7 <= minutes <= 123
        and isinstance(label, str)
        and len(label) <= 20
    )


def valid_order(arguments: dict[str, Any]) -> bool:
    to, items = arguments["to"], arguments["items"]
    floor = to["floor"]
    return (
        arguments.keys() == {"to", "items"}
        and to.keys() == {"street", "floor"}
        and isinstance(to["street"], str)
        and 3 <= len(to["street"]) <= 30
        and (floor is None or (type(floor) is int and -2 <= floor <= 9))
        and 1 <= len(items) <= 3
        and all(type(item) in (int, float) or (isinstance(item, str) and len(item) <= 12) for item in items)
    )


def valid_when(arguments: dict[str, Any]) -> bool:
    year, month, day = map(int, arguments["day"].split("-"))
    date(max(1, year), month, min(day, 28))  # the grammar knows no calendar
    time.fromisoformat(arguments["at"])
    uuid.UUID(arguments["id"])
    return arguments.keys() == {"day", "at", "id"}
