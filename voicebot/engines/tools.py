"""Tools as a user writes them down, checked before any model is told of them.

A grammar has to be able to say all that a schema says, so only a part of JSON Schema is taken: what can't be enforced
is refused here, with its place, and not ignored later.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicebot.engines.protocols import Tool
from voicebot.errors import UsageError

MOST_TOOLS: Final = 32
MOST_BYTES: Final = 16 << 10
"""Of all tools together; they are part of every prompt."""
_DEEPEST: Final = 8
_MOST_REPEATS: Final = 1000
"""Of one schema's `maxLength` or `maxItems`: a grammar writes them out one by one."""
_WIDEST: Final = 10**16
_NAME: Final = r"[a-zA-Z0-9_-]{1,64}"

_ANNOTATIONS: Final = {"title", "description", "default", "examples", "deprecated", "$schema", "$comment"}
_KEYWORDS: Final[dict[str, set[str]]] = {
    "string": {"minLength", "maxLength", "format"},
    "integer": {"minimum", "maximum"},
    "number": set(),
    "boolean": set(),
    "null": set(),
    "array": {"items", "minItems", "maxItems"},
    "object": {"properties", "required", "additionalProperties"},
}
"""What a schema of each type may say, and every schema its annotations."""
_FORMATS: Final = ("date", "time", "date-time", "uuid")
Schema = Mapping[str, Any]


class _Function(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(pattern=f"^{_NAME}$")
    description: str = Field(default="", max_length=1024)
    parameters: dict[str, Any] = Field(default_factory=dict)
    strict: bool | None = None  # OpenAI's; every schema is enforced here


class _Wrapped(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    type: str = Field(pattern="^function$")
    function: _Function


def parse_tools(text: str) -> tuple[Tool, ...]:
    """Return the tools of a JSON list: plain {name, description, parameters}, or OpenAI's objects around them.

    Raises UsageError with the first thing that is wrong.
    """
    try:
        raw = json.loads(text)
        size = len(json.dumps(raw, ensure_ascii=False).encode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the tools are not valid JSON ({error}).") from error
    if not isinstance(raw, list):
        raise UsageError("the tools must be a JSON list of objects, each with a name and its parameters.")
    if len(raw) > MOST_TOOLS or size > MOST_BYTES:
        raise UsageError(f"at most {MOST_TOOLS} tools in {MOST_BYTES} bytes fit into a prompt; leave some out.")
    tools = tuple(_tool(entry, f"tool {number}") for number, entry in enumerate(raw, 1))
    names = [tool.name for tool in tools]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two tools are called {name!r}; rename one.")
    return tools


def _tool(raw: object, place: str) -> Tool:
    try:
        if isinstance(raw, dict) and "function" in raw:
            function = _Wrapped.model_validate(raw).function
        else:
            function = _Function.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UsageError(f"{place}: {key + ': ' if key else ''}{first['msg']}.") from error
    place = f"{place} ({function.name}), parameters"
    # Without parameters there is nothing to give, which an empty schema would not say.
    parameters = function.parameters or {"type": "object", "properties": {}}
    if parameters.get("type") != "object":
        raise UsageError(f'{place}: "type" must be "object".')
    _check(parameters, place, depth=1)
    return Tool(function.name, function.description, parameters)


def _check(schema: object, place: str, depth: int) -> None:
    """Raise UsageError unless a grammar can enforce the schema."""
    if not isinstance(schema, dict) or not schema:
        raise UsageError(f'{place}: a schema must be an object that says a "type", an "enum", a "const" or an "anyOf".')
    if depth > _DEEPEST:
        raise UsageError(f"{place}: nested more than {_DEEPEST} deep.")
    said = set(schema) - _ANNOTATIONS
    if "anyOf" in said:
        _refuse_others(said - {"anyOf"}, place)
        alternatives = schema["anyOf"]
        if not isinstance(alternatives, list) or not alternatives:
            raise UsageError(f'{place}: "anyOf" must be a list of schemas.')
        for number, alternative in enumerate(alternatives, 1):
            _check(alternative, f"{place}, alternative {number}", depth + 1)
        return
    kinds = _types(schema, place)
    if said & {"enum", "const"}:
        _refuse_others(said - {"enum", "type"} if "enum" in said else said - {"const", "type"}, place)
        _check_values(schema["enum"] if "enum" in said else [schema["const"]], kinds, place)
        return
    if not kinds:
        raise UsageError(f'{place}: "type" is missing.')
    _refuse_others(said - {"type"}.union(*(_KEYWORDS[kind] for kind in kinds)), place)
    _check_string(schema, place)
    _check_limits(schema, "minimum", "maximum", (-_WIDEST + 1, _WIDEST - 1), place)
    _check_limits(schema, "minLength", "maxLength", (0, _MOST_REPEATS), place)
    _check_array(schema, place, depth)
    _check_object(schema, place, depth)


def _refuse_others(others: set[str], place: str) -> None:
    if others:
        raise UsageError(f"{place}: {', '.join(map(repr, sorted(others)))} can't be enforced here; leave it out.")


def _types(schema: Schema, place: str) -> tuple[str, ...]:
    said = schema.get("type", [])
    kinds = tuple(said) if isinstance(said, list) else (said,)
    for kind in kinds:
        if not isinstance(kind, str) or kind not in _KEYWORDS:
            raise UsageError(f"{place}: unknown type {kind!r}; there are {', '.join(_KEYWORDS)}.")
    return kinds


def _check_values(values: object, kinds: tuple[str, ...], place: str) -> None:
    if not isinstance(values, list) or not values:
        raise UsageError(f'{place}: "enum" must be a list of values.')
    for value in values:
        kind = _type_of(value)
        if kind is None or (kinds and kind not in kinds and not (kind == "integer" and "number" in kinds)):
            raise UsageError(f"{place}: the value {value!r} is not of a type that may stand here.")


def _type_of(value: object) -> str | None:
    """Return the JSON type of a plain value; None for anything else."""
    if isinstance(value, float):
        return "number" if math.isfinite(value) else None
    kinds: dict[type, str] = {str: "string", bool: "boolean", int: "integer", type(None): "null"}
    return kinds.get(type(value))


def _check_string(schema: Schema, place: str) -> None:
    if "format" not in schema:
        return
    if schema["format"] not in _FORMATS:
        raise UsageError(f"{place}: unknown format {schema['format']!r}; there are {', '.join(_FORMATS)}.")
    if schema.keys() & {"minLength", "maxLength"}:
        raise UsageError(f"{place}: a format has its own length; leave out minLength and maxLength.")


def _check_limits(schema: Schema, least: str, most: str, limits: tuple[int, int], place: str) -> None:
    lowest, highest = limits
    for keyword in (least, most):
        value = schema.get(keyword, lowest)
        if type(value) is not int or not lowest <= value <= highest:
            raise UsageError(f"{place}: {keyword} must be a whole number from {lowest} to {highest}.")
    if schema.get(least, lowest) > schema.get(most, highest):
        raise UsageError(f"{place}: {least} is above {most}.")


def _check_array(schema: Schema, place: str, depth: int) -> None:
    _check_limits(schema, "minItems", "maxItems", (0, _MOST_REPEATS), place)
    if "items" in schema:
        _check(schema["items"], f"{place}, items", depth + 1)
    elif schema.keys() & {"minItems", "maxItems"}:
        raise UsageError(f'{place}: "items" is missing.')


def _check_object(schema: Schema, place: str, depth: int) -> None:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict) or not all(re.fullmatch(_NAME, name) for name in properties):
        raise UsageError(f'{place}: "properties" must be an object with names of letters, digits, "_" and "-".')
    if not isinstance(required, list) or not all(isinstance(name, str) and name in properties for name in required):
        raise UsageError(f'{place}: "required" must be a list of names that stand in "properties".')
    others = schema.get("additionalProperties", False)
    if others is not False and properties:
        raise UsageError(f'{place}: "additionalProperties" must be false beside "properties".')
    if not isinstance(others, bool):
        _check(others, f"{place}, additionalProperties", depth + 1)
    for name, inner in properties.items():
        _check(inner, f"{place}.{name}", depth + 1)
