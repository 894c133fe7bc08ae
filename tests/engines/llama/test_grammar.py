"""What a grammar lets a reply be, token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import llama_cpp
import numpy as np
import pytest

from tests.engines.llama.constrained import masked
from tests.engines.llama.example_tools import LIGHT, ORDER, TIMER, WHEN, tool
from voicebot.engines.llama.grammar import ToolGrammars, call_grammar
from voicebot.engines.llama.weights import Weights
from voicebot.engines.protocols import Tool
from voicebot.engines.tools import parse_tools
from voicebot.errors import EngineError


@pytest.fixture(scope="module")
def grammars(weights: Weights) -> Iterator[ToolGrammars]:
    made = ToolGrammars(weights.vocabulary)
    yield made
    made.close()


Follow = Callable[..., bool]


@pytest.fixture
def allows(weights: Weights, grammars: ToolGrammars) -> Follow:
    """Whether a grammar lets a model write a text, token by token, and (`whole`) end there."""
    logits = np.zeros(weights.vocabulary_size, np.float32)

    def follow(tools: list[Tool], text: str, *, required: bool = True, whole: bool = True) -> bool:
        sampler = grammars.sampler(tools, required=required)
        try:
            for token in weights.tokens(text, begin=False):
                if np.isneginf(masked(sampler, logits)[token]):
                    return False
                llama_cpp.llama_sampler_accept(sampler, token)
            return not whole or bool(np.isfinite(masked(sampler, logits)[weights.reply_ends()[0]]))
        finally:
            llama_cpp.llama_sampler_free(sampler)

    return follow


def called(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


# What the grammar says.


@pytest.mark.parametrize(
    ("which", "arguments", "valid"),
    [
        (LIGHT, '{"room": "kitchen", "on": true}', True),
        (LIGHT, '{"room":"kitchen","on":true}', True),
        (LIGHT, '{"room": "Küche \U0001f642", "on": false}', True),
        (LIGHT, '{"room": "a \\"b\\" \\\\", "on": false}', True),
        (LIGHT, '{"room": "attic", "on": true}', False),
        (LIGHT, '{"room": "kitchen"}', False),
        (LIGHT, '{"room": "kitchen", "on": 1}', False),
        (LIGHT, '{"room": "kitchen", "on": true, "off": true}', False),
        (TIMER, '{"minutes": 7}', True),
        (TIMER, '{"minutes": 123, "label": "tea"}', True),
        (TIMER, '{"minutes": 6}', False),
        (TIMER, '{"minutes": 124}', False),
        (TIMER, '{"minutes": 7.5}', False),
        (TIMER, '{"minutes": 07}', False),
        (TIMER, '{"minutes": 7, "label": "' + 20 * "a" + '"}', True),
        (TIMER, '{"minutes": 7, "label": "' + 21 * "a" + '"}', False),
        (TIMER, '{"minutes": 7, "label": "a\nb"}', False),
        (TIMER, '{"minutes": 7, "label": "\\n\\u00e9"}', True),
        (TIMER, '{"minutes": 7, "label": "\\ud800"}', False),
        (ORDER, '{"to": {"street": "Elm", "floor": null}, "items": [1.5e3, "free"]}', True),
        (ORDER, '{"to": {"street": "Elm", "floor": -2}, "items": ["x"]}', True),
        (ORDER, '{"to": {"street": "Elm", "floor": -3}, "items": ["x"]}', False),
        (ORDER, '{"to": {"street": "El", "floor": 1}, "items": ["x"]}', False),
        (ORDER, '{"to": {"street": "Elm", "floor": 1}, "items": []}', False),
        (ORDER, '{"to": {"street": "Elm", "floor": 1}, "items": [1, 2, 3, 4]}', False),
        (ORDER, '{"to": {"street": "Elm", "floor": 1}, "items": [1e999]}', False),
        (ORDER, '{"to": {"street": "Elm", "floor": 1}, "items": [true]}', False),
        (WHEN, '{"day": "2026-02-28", "at": "07:30:00Z", "id": "123e4567-e89b-12d3-a456-426614174000"}', True),
        (WHEN, '{"day": "2026-13-28", "at": "07:30:00Z", "id": "123e4567-e89b-12d3-a456-426614174000"}', False),
    ],
)  # fmt: skip
def test_only_arguments_that_fit_the_schema(allows: Follow, which: Tool, arguments: str, valid: bool) -> None:
    assert allows([LIGHT, TIMER, ORDER, WHEN], called(which.name, arguments)) is valid


def test_only_tools_that_are_there(allows: Follow) -> None:
    assert not allows([LIGHT], called("set_timer", '{"minutes": 7}'))
    assert not allows([LIGHT, TIMER], called("light", '{"minutes": 7}'))


def test_a_tool_without_parameters(allows: Follow) -> None:
    tools = list(parse_tools('[{"name": "stop"}]'))
    assert allows(tools, called("stop", "{}"))
    assert not allows(tools, called("stop", '{"x": 1}'))


def test_a_map_of_anything_to_numbers(allows: Follow) -> None:
    scores = {"type": "object", "additionalProperties": {"type": "integer"}}
    tools = [tool("vote", {"scores": scores, "notes": {"type": "object"}})]
    assert allows(tools, called("vote", '{"scores": {"Ann": 1, "Bo": -2}, "notes": {"a": [{}, null]}}'))
    assert not allows(tools, called("vote", '{"scores": {"Ann": "1"}, "notes": {}}'))


def test_a_required_call_is_all_there_is(allows: Follow) -> None:
    call = called("set_timer", '{"minutes": 7}')
    assert not allows([TIMER], "Sure.")
    assert not allows([TIMER], "")
    assert not allows([TIMER], f"{call} Done.")
    assert not allows([TIMER], call.removesuffix("</tool_call>"))


def test_several_calls_but_not_without_end(allows: Follow) -> None:
    call = called("set_timer", '{"minutes": 7}')
    assert allows([TIMER], "\n".join([call] * 4))
    assert allows([TIMER], call + call)
    assert not allows([TIMER], "\n".join([call] * 5))


# The lazy one.


def test_before_a_call_begins_not_one_logit_is_changed(weights: Weights, grammars: ToolGrammars) -> None:
    logits = np.random.default_rng(0).normal(size=weights.vocabulary_size).astype(np.float32)
    sampler = grammars.sampler([TIMER], required=False)
    tokens = weights.tokens(
        'Grüße! {"name": "x"} if a < b <tool> <tool_calls> <tool_call></tool_call> <tool_call', begin=False
    )
    for token in tokens:
        np.testing.assert_array_equal(masked(sampler, logits), logits)
        llama_cpp.llama_sampler_accept(sampler, token)
    np.testing.assert_array_equal(masked(sampler, logits), logits)
    llama_cpp.llama_sampler_accept(sampler, weights.tokens(">", begin=False)[0])
    assert np.isneginf(masked(sampler, logits)).sum() > weights.vocabulary_size - 20
    llama_cpp.llama_sampler_free(sampler)


@pytest.mark.parametrize("text", ["", "Sure.", "a\n\n<b>", "Sure. " + called("set_timer", '{"minutes": 7}')])
def test_free_text_and_calls_may_end_the_reply(allows: Follow, text: str) -> None:
    assert allows([TIMER], text, required=False)


@pytest.mark.parametrize(
    "text",
    [
        called("set_timer", '{"minutes": 6}'),
        "Hm. " + called("set_timer", '{"minutes": 6}'),
        '<tool_call>{"nom',
        '<tool_call> {"name": "nothing',
        "<tool_call>\n\n{",
        called("set_timer", '{"minutes": 7}') + " Done.",
        "<tool_call>",
    ],
)
def test_a_begun_call_is_held_to_the_grammar(allows: Follow, text: str) -> None:
    assert not allows([TIMER], text, required=False)


@pytest.mark.parametrize("rest", ["\n", "{", '{"', '{"name', '{"name": "', '\n{"name":', ' {"name"'])
def test_a_call_may_begin_in_any_tokens(allows: Follow, rest: str) -> None:
    assert allows([TIMER], "Yes: <tool_call>" + rest, required=False, whole=False)
    assert not allows([TIMER], "Yes: <tool_call>" + rest + "}", required=False, whole=False)


@pytest.mark.parametrize("rest", ["></", ">>", ">,", '>"', ">)"])
def test_a_token_that_goes_on_beyond_the_mark_in_another_way_stays_text(allows: Follow, rest: str) -> None:
    assert allows([TIMER], f"<tool_call{rest} and so on", required=False)


@pytest.mark.parametrize("text", ["Sure.", "Sure. <tool_call>", '<tool_call>{"name'])
def test_a_reset_sampler_waits_for_a_call_again(weights: Weights, grammars: ToolGrammars, text: str) -> None:
    logits = np.zeros(weights.vocabulary_size, np.float32)
    sampler = grammars.sampler([TIMER], required=False)
    for _ in range(2):
        np.testing.assert_array_equal(masked(sampler, logits), logits)
        for token in weights.tokens(text + "<tool_call>" * ("<" not in text), begin=False):
            llama_cpp.llama_sampler_accept(sampler, token)
        assert np.isneginf(masked(sampler, logits)).any()
        llama_cpp.llama_sampler_reset(sampler)
    llama_cpp.llama_sampler_free(sampler)


# The samplers.


def test_a_sampler_starts_anew_for_every_reply(weights: Weights, grammars: ToolGrammars) -> None:
    logits = np.zeros(weights.vocabulary_size, np.float32)
    first = grammars.sampler([TIMER], required=True)
    begin = masked(first, logits)
    for token in weights.tokens('<tool_call>{"na', begin=False):
        llama_cpp.llama_sampler_accept(first, token)
    second = grammars.sampler([TIMER], required=True)
    np.testing.assert_array_equal(masked(second, logits), begin)
    llama_cpp.llama_sampler_reset(first)
    np.testing.assert_array_equal(masked(first, logits), begin)
    for sampler in (first, second):
        llama_cpp.llama_sampler_free(sampler)


def test_a_grammar_is_compiled_once(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = 0
    init = llama_cpp.llama_sampler_init_grammar

    def counted(*given: object) -> object:
        nonlocal compiled
        compiled += 1
        return init(*given)

    monkeypatch.setattr(llama_cpp, "llama_sampler_init_grammar", counted)
    grammars = ToolGrammars(weights.vocabulary)
    for number in (*range(16), 0, 15, 16, 0, 1):  # the 17th takes the place of number 1, which was used least lately
        many = tool(f"number_{number}", {})
        llama_cpp.llama_sampler_free(grammars.sampler([many], required=True))
    grammars.close()
    assert compiled == 18


def test_what_llama_cpp_refuses_is_one_clear_error(weights: Weights) -> None:
    unchecked = Tool("odd", "", {"type": "object", "properties": {"x": {"type": "colour"}}})
    with pytest.raises(EngineError, match="parameters of odd; simplify"):
        call_grammar([unchecked])
    too_many = Tool("long", "", {"type": "object", "properties": {"x": {"type": "string", "pattern": r"^\q{3}$"}}})
    with pytest.raises(EngineError, match="parameters of long; simplify"):
        ToolGrammars(weights.vocabulary).sampler([too_many], required=True)
