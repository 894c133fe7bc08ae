"""The grammar of a reply that calls tools, and the llama.cpp samplers that hold a model to it.

The conversion of JSON schemas is llama_cpp's own; what it gets wrong for the schemas that `engines.tools` lets pass is
put right here: whole numbers' ranges, control characters in strings, escapes in literals, lists of types.
"""

from __future__ import annotations

import ctypes
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import llama_cpp
from llama_cpp.llama_grammar import BuiltinRule, SchemaConverter

from voicebot.engines.llama.calls import CALL_BEGINS, CALL_ENDS
from voicebot.engines.llama.integer_range import integers
from voicebot.engines.protocols import Tool
from voicebot.errors import EngineError

_MOST_CALLS: Final = 4
"""In one reply: a small model that has begun to call tools may not find an end by itself."""
_FRAME: Final = f"""
root ::= call-tagged ("\\n"? call-tagged){{0,{_MOST_CALLS - 1}}}
call-tagged ::= "{CALL_BEGINS}" [ \\n]? call "\\n"? "{CALL_ENDS}"
"""
_BEGINNING: Final = '{"name": "'
_TRIGGER: Final = (
    f"({CALL_BEGINS}\n?(" + "|".join(_BEGINNING[:end].replace("{", r"\{") for end in range(len(_BEGINNING) + 1)) + "))$"
)
"""The pattern (a C++ ECMAScript regular expression) of a text that ends with the beginning of a call, which alone is
put under the grammar. A token may go on beyond the mark: what would contradict the grammar may not match here, since
llama.cpp ends the process when what it replays does (b"></" is one token of SmolLM2)."""
_KEPT_SETS: Final = 16

_RULES: Final = {
    "char": BuiltinRule(
        r'[^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" [0-9a-cefA-CEF] [0-9a-fA-F]{3} | "u" [dD] [0-7] [0-9a-fA-F]{2})'
    ),
    "number": BuiltinRule(
        '("-"? integral-part) ("." decimal-part)? ([eE] [-+]? [0-9] [0-9]?)? space', ["integral-part", "decimal-part"]
    ),
}
"""Instead of llama_cpp's: no control characters and no half surrogate pairs, and no number beyond a float's range."""


class _Rules(SchemaConverter):  # type: ignore[misc, unused-ignore]  # llama_cpp has no types
    def __init__(self) -> None:
        super().__init__(prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False)

    def visit(self, schema: Mapping[str, Any], name: str) -> str:
        kind = schema.get("type")
        if schema.keys() & {"enum", "const", "anyOf"}:
            return str(super().visit({key: value for key, value in schema.items() if key != "type"}, name))
        if isinstance(kind, list):
            return str(super().visit({"anyOf": [{**schema, "type": each} for each in kind]}, name))
        if kind == "integer" and schema.keys() & {"minimum", "maximum"}:
            whole = integers(schema.get("minimum"), schema.get("maximum"))
            return str(self._add_rule(name, f"({whole}) space"))
        return str(super().visit(schema, name))

    def _add_primitive(self, name: str, rule: BuiltinRule) -> str:
        return str(super()._add_primitive(name, _RULES.get(name, rule)))

    def _generate_constant_rule(self, value: object) -> str:
        return self._format_literal(json.dumps(value, ensure_ascii=False))

    def _format_literal(self, literal: str) -> str:
        return '"' + literal.replace("\\", "\\\\").replace('"', '\\"') + '"'


def call_grammar(tools: Sequence[Tool]) -> str:
    """Return the GBNF of a reply that is one or more calls of these tools, and nothing else.

    Raises EngineError when llama_cpp can't convert a tool's schema.
    """
    rules = _Rules()
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": tool.parameters},
            "required": ["name", "arguments"],
        }
        for tool in tools
    ]
    try:
        rules.visit({"anyOf": calls}, "call")
    except (AssertionError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise _impossible(tools) from error
    return str(rules.format_grammar()) + _FRAME


class ToolGrammars:
    """Compiled grammars for one vocabulary; those of the tool sets that were used last are kept."""

    def __init__(self, vocabulary: object) -> None:
        self._vocabulary = vocabulary
        self._compiled: OrderedDict[tuple[str, bool], Any] = OrderedDict()

    def sampler(self, tools: Sequence[Tool], *, required: bool) -> Any:  # noqa: ANN401
        """Return a llama.cpp grammar sampler for one reply; whoever takes it frees it, or the chain it is added to.

        `required`: the reply is calls and nothing else. Otherwise all text is free until a call begins, and the reply
        is calls from there on. Raises EngineError when there is no grammar for these tools.
        """
        key = json.dumps([[tool.name, tool.parameters] for tool in tools]), required
        if key not in self._compiled:
            self._compiled[key] = self._compile(tools, required=required)
            if len(self._compiled) > _KEPT_SETS:
                llama_cpp.llama_sampler_free(self._compiled.popitem(last=False)[1])
        self._compiled.move_to_end(key)
        return llama_cpp.llama_sampler_clone(self._compiled[key])

    def close(self) -> None:
        """Free what is kept."""
        while self._compiled:
            llama_cpp.llama_sampler_free(self._compiled.popitem()[1])

    def _compile(self, tools: Sequence[Tool], *, required: bool) -> Any:  # noqa: ANN401
        grammar = call_grammar(tools).encode()
        if required:
            sampler = llama_cpp.llama_sampler_init_grammar(self._vocabulary, grammar, b"root")
        else:
            patterns = (ctypes.c_char_p * 1)(_TRIGGER.encode())
            sampler = llama_cpp.llama_sampler_init_grammar_lazy_patterns(
                self._vocabulary, grammar, b"root", patterns, 1, None, 0
            )
        if not sampler:
            raise _impossible(tools)
        return sampler


def _impossible(tools: Sequence[Tool]) -> EngineError:
    names = ", ".join(tool.name for tool in tools)
    return EngineError(f"llama.cpp can't make a grammar of the parameters of {names}; simplify their schemas.")
