"""Which tools are taken, and what is said of the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicebot.engines.protocols import Tool
from voicebot.engines.tools import MOST_BYTES, MOST_TOOLS, parse_tools
from voicebot.errors import UsageError

NONE = {"type": "object", "properties": {}}
SCHEMA = {
    "type": "object",
    "description": "A delivery.",
    "properties": {
        "street": {"type": "string", "minLength": 3, "maxLength": 80, "title": "Street", "examples": ["Elm"]},
        "floor": {"type": ["integer", "null"], "minimum": -2, "maximum": 90, "default": None},
        "size": {"type": "string", "enum": ["S", "M"]},
        "weight": {"enum": [1, 2.5, None]},
        "kind": {"const": "food"},
        "items": {"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "boolean"}]}, "maxItems": 9},
        "extra": {"type": "array"},
        "at": {"type": "string", "format": "date-time"},
        "notes": {"type": "object", "additionalProperties": {"type": "string"}},
        "to": {"type": "object", "properties": {"x-1": {"type": "null"}}, "required": ["x-1"]},
    },
    "required": ["street", "items"],
    "additionalProperties": False,
}


def refused(raw: object) -> str:
    with pytest.raises(UsageError) as caught:
        parse_tools(json.dumps(raw))
    return str(caught.value)


def refused_property(schema: object) -> str:
    parameters = {"type": "object", "properties": {"x": schema}}
    place, _, sentence = refused([{"name": "a", "parameters": parameters}]).partition(", parameters.x")
    assert place == "tool 1 (a)"
    return sentence


def test_plain_tools_and_openais_are_the_same() -> None:
    plain = {"name": "deliver_to-2", "description": "Brings it.", "parameters": SCHEMA}
    wrapped = {"type": "function", "function": {**plain, "strict": True}}
    expected = (Tool("deliver_to-2", "Brings it.", SCHEMA),)
    assert parse_tools(json.dumps([plain])) == parse_tools(json.dumps([wrapped])) == expected


def test_a_tool_may_have_no_parameters_and_no_description() -> None:
    assert parse_tools('[{"name": "stop"}, {"name": "go", "parameters": {}}]') == (
        Tool("stop", "", NONE),
        Tool("go", "", NONE),
    )
    assert parse_tools("[]") == ()


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"name": "a"}, "the tools must be a JSON list"),
        ([3], "tool 1: Input should be a valid dictionary"),
        ([{"name": "a"}, {}], "tool 2: name: Field required."),
        ([{"name": "a b"}], "tool 1: name: String should match pattern"),
        ([{"name": "ab\n"}], "tool 1: name: String should match pattern"),
        ([{"name": "a" * 65}], "tool 1: name: String should match pattern"),
        ([{"name": "a", "description": "d" * 1025}], "tool 1: description: String should have at most 1024"),
        ([{"name": "a", "paramters": {}}], "tool 1: paramters: Extra inputs are not permitted."),
        ([{"type": "retrieval", "function": {"name": "a"}}], "tool 1: type: String should match pattern"),
        ([{"type": "function", "function": {"name": 1}}], "tool 1: function.name: Input should be a valid string."),
        ([{"name": "a"}, {"name": "b"}, {"name": "a"}], "two tools are called 'a'; rename one."),
        ([{"name": "a", "parameters": {"type": "array"}}], 'tool 1 (a), parameters: "type" must be "object".'),
        ([{"name": "a", "parameters": {**NONE, "required": ["x"]}}], '"required" must be a list of names'),
        ([{"name": f"t{n}"} for n in range(MOST_TOOLS + 1)], f"at most {MOST_TOOLS} tools"),
        ([{"name": "a", "parameters": {**NONE, "description": "d" * MOST_BYTES}}], f"in {MOST_BYTES} bytes"),
    ],
)  # fmt: skip
def test_a_tool_that_is_none(raw: object, sentence: str) -> None:
    assert sentence in refused(raw)


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, '["\\ud800"]'])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(UsageError, match="the tools are not valid JSON"):
        parse_tools(text)


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        (True, ": a schema must be an object"),
        ({}, ": a schema must be an object"),
        ({"description": "d"}, ': "type" is missing.'),
        ({"type": []}, ': "type" is missing.'),
        ({"type": "colour"}, ": unknown type 'colour'; there are string,"),
        ({"type": [["string"]]}, ": unknown type ['string']"),
        ({"type": "string", "pattern": "^a$"}, ": 'pattern' can't be enforced here; leave it out."),
        ({"type": "number", "minimum": 0, "multipleOf": 2}, ": 'minimum', 'multipleOf' can't be enforced here"),
        ({"type": "string", "maximum": 3}, ": 'maximum' can't be enforced here"),
        ({"$ref": "#/x"}, ': "type" is missing.'),
        ({"type": "integer", "$ref": "#/x"}, ": '$ref' can't be enforced here"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, ": minimum is above maximum."),
        ({"type": "integer", "minimum": 1.5}, ": minimum must be a whole number from -"),
        ({"type": "integer", "maximum": 10**16}, ": maximum must be a whole number from -"),
        ({"type": "integer", "minimum": True}, ": minimum must be a whole number"),
        ({"type": "string", "maxLength": 1001}, ": maxLength must be a whole number from 0 to 1000."),
        ({"type": "string", "minLength": -1}, ": minLength must be a whole number from 0 to 1000."),
        ({"type": "string", "format": "email"}, ": unknown format 'email'; there are date,"),
        ({"type": "string", "format": ["date"]}, ": unknown format ['date']"),
        ({"type": "string", "format": "date", "maxLength": 3}, ": a format has its own length"),
        ({"type": "array", "minItems": 2}, ': "items" is missing.'),
        ({"type": "array", "items": {}}, ", items: a schema must be an object"),
        ({"type": "array", "items": [{"type": "null"}]}, ", items: a schema must be an object"),
        ({"type": "array", "items": {"type": "null"}, "maxItems": "3"}, ": maxItems must be a whole number"),
        ({"enum": []}, ': "enum" must be a list of values.'),
        ({"enum": [[1]]}, ": the value [1] is not of a type that may stand here."),
        ({"enum": [float("nan")]}, ": the value nan is not of a type that may stand here."),
        ({"type": "string", "enum": ["a", 1]}, ": the value 1 is not of a type that may stand here."),
        ({"type": "integer", "const": True}, ": the value True is not of a type that may stand here."),
        ({"type": "integer", "enum": [1], "minimum": 0}, ": 'minimum' can't be enforced here"),
        ({"anyOf": []}, ': "anyOf" must be a list of schemas.'),
        ({"anyOf": [{"type": "null"}, 3]}, ", alternative 2: a schema must be an object"),
        ({"anyOf": [{"type": "null"}], "type": "null"}, ": 'type' can't be enforced here"),
        ({"type": "object", "properties": {"a b": {"type": "null"}}}, ': "properties" must be an object with names of'),
        ({"type": "object", "properties": {"a": {"type": "x"}}}, ".a: unknown type 'x'"),
        ({"type": "object", "properties": []}, ': "properties" must be an object'),
        ({"type": "object", "properties": {"a": {"type": "null"}}, "required": "a"}, ': "required" must be a list'),
        ({"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": True},
         ': "additionalProperties" must be false'),
        ({"type": "object", "additionalProperties": {"type": "x"}}, ", additionalProperties: unknown type"),
    ],
)  # fmt: skip
def test_a_schema_that_can_not_be_enforced(schema: object, sentence: str) -> None:
    assert refused_property(schema).startswith(sentence)


def test_a_schema_that_is_nested_too_deep() -> None:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(7):
        schema = {"type": "array", "items": schema}
    assert refused_property(schema).endswith("nested more than 8 deep.")
    assert parse_tools(json.dumps([{"name": "a", "parameters": {**NONE, "properties": {"x": schema["items"]}}}]))
