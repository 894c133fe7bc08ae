"""Text and calls are told apart however the reply is cut into pieces."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicebot.engines.llama.calls import CALL_BEGINS, CALL_ENDS, CallSplitter
from voicebot.engines.protocols import BrokenCall, ReplyPart, ToolCall

CALL = '<tool_call>\n{"name": "note", "arguments": {"text": "a } b \\" { \\\\", "of": {"x": [1, {}]}}}\n</tool_call>'
MADE = ToolCall("note", {"text": 'a } b " { \\', "of": {"x": [1, {}]}})

words = st.text(
    st.sampled_from('ab <>/_{}"\\\u00e9\U0001f642\n') | st.characters(exclude_categories=["Cs"]), max_size=12
)
plain = words.filter(lambda text: "<tool_call>" not in text)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
calls = st.builds(ToolCall, words, st.dictionaries(words, values, max_size=3))
fragments = ["<tool_call>", "</tool_call>", "{", "}", '"', "\\", '{"name": "a", "arguments": {']
anything = st.lists(st.sampled_from(fragments) | words, max_size=12).map("".join)


def split(pieces: Iterable[str]) -> list[ReplyPart]:
    """All items of a reply, its neighbouring texts put together."""
    splitter = CallSplitter()
    items = [item for piece in pieces for item in splitter.feed(piece)] + splitter.finish()
    assert all(items), "an empty text is no item"
    joined: list[ReplyPart] = []
    for item in items:
        if isinstance(item, str) and joined and isinstance(joined[-1], str):
            joined[-1] += item
        else:
            joined.append(item)
    return joined


def cut(text: str, places: Iterable[int]) -> list[str]:
    ends = [0, *sorted(places), len(text)]
    return [text[begin:end] for begin, end in itertools.pairwise(ends)]


def test_a_call_amid_text() -> None:
    assert split([f"Wait. {CALL} Done."]) == ["Wait. ", MADE, " Done."]


def test_two_cuts_anywhere_change_nothing() -> None:
    reply = f"é {CALL}{CALL}!"
    expected = ["é ", MADE, MADE, "!"]
    for places in itertools.combinations(range(len(reply) + 1), 2):
        assert split(cut(reply, places)) == expected
    assert split(reply) == expected


@given(st.lists(plain | calls, max_size=5), st.booleans(), st.data())
def test_what_was_put_together_is_taken_apart(
    parts: list[str | ToolCall], ascii_only: bool, data: st.DataObject
) -> None:
    text = ""
    expected: list[ReplyPart] = []
    for part in parts:
        if isinstance(part, ToolCall):
            body = json.dumps({"name": part.name, "arguments": part.arguments}, ensure_ascii=ascii_only)
            text += CALL_BEGINS + body + CALL_ENDS
            expected.append(part)
        elif CALL_BEGINS not in text.rpartition(CALL_ENDS)[2] + part:
            text += part
            if part and expected and isinstance(expected[-1], str):
                expected[-1] += part
            elif part:
                expected.append(part)
    if text.count(CALL_BEGINS) != sum(isinstance(part, ToolCall) for part in expected):
        return  # a text's end and the next one's beginning, or an argument, made a mark of their own
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    assert split(cut(text, places)) == expected


@given(anything, st.data())
@example("<tool_call>{}</tool_call>", None)
def test_any_reply_is_taken_apart_in_the_same_way_however_it_is_cut(reply: str, data: st.DataObject | None) -> None:
    places = data.draw(st.lists(st.integers(0, len(reply)), max_size=12)) if data else []
    assert split(cut(reply, places)) == split([reply]) == split(reply)


@given(words.filter(lambda text: "<" not in text))
def test_text_is_passed_on_at_once(text: str) -> None:
    assert CallSplitter().feed(text) == ([text] if text else [])


@given(anything)
def test_of_a_text_no_more_is_held_back_than_a_beginning_of_the_mark(reply: str) -> None:
    splitter = CallSplitter()
    held = ""
    for character in reply:
        items = splitter.feed(character)
        if splitter.in_call or any(not isinstance(item, str) for item in items):
            return
        held = (held + character).removeprefix("".join(map(str, items)))
        assert CALL_BEGINS.startswith(held)
        assert held != CALL_BEGINS


def test_a_call_comes_with_its_last_brace() -> None:
    splitter = CallSplitter()
    end = CALL.rindex("}")
    assert splitter.feed(CALL[:end]) == []
    assert splitter.in_call
    assert splitter.feed(CALL[end]) == [MADE]
    assert not splitter.in_call
    assert splitter.feed(CALL[end + 1 :]) == splitter.finish() == []


def test_a_missing_closing_mark_is_no_harm() -> None:
    body = CALL.removesuffix("</tool_call>").rstrip()
    assert split([body]) == [MADE]
    assert split([body, "</tool"]) == [MADE]
    assert split([body, "\nDone."]) == [MADE, "\nDone."]
    assert split([body, CALL]) == [MADE, MADE]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{name: "x"}', id="no JSON"),
        pytest.param('{"name": "x"}', id="no arguments"),
        pytest.param('{"name": 1, "arguments": {}}', id="name is a number"),
        pytest.param('{"name": "x", "arguments": []}', id="arguments are a list"),
        pytest.param('{"name": "x", "arguments": {}, "id": 3}', id="more than a call"),
        pytest.param('{"name": "x", "arguments": {"a": NaN}}', id="not a number"),
        pytest.param('{"name": "x", "arguments": {"a": 1e999}}', id="too large a number"),
        pytest.param('{"name": "x", "arguments": {"a": "\\ud800"}}', id="half a character"),
        pytest.param('{"name": "x", "arguments": {"a": 1' + "0" * 5000 + "}}", id="too many digits"),
        pytest.param('{"name": "x", "arguments": {"a": ' + '{"a":' * 100_000 + "1" + "}" * 100_002, id="too deep"),
        pytest.param("get_time()", id="Python"),
        pytest.param("", id="nothing"),
        pytest.param('{"name": "x", "arguments": {"a": 1}', id="a brace is missing"),
        pytest.param('[{"name": "x", "arguments": {}}]', id="list"),
        pytest.param("}", id="closed before it opens"),
    ],
)
def test_a_malformed_call_is_a_broken_one_and_the_text_goes_on(body: str) -> None:
    assert split([f"A {CALL_BEGINS}{body}{CALL_ENDS} B"]) == ["A ", BrokenCall(body), " B"]


def test_a_mark_inside_a_string_belongs_to_it() -> None:
    call = '<tool_call>{"name": "say", "arguments": {"text": "</tool_call><tool_call>"}}</tool_call>'
    assert split([call]) == [ToolCall("say", {"text": "</tool_call><tool_call>"})]


def test_a_call_cut_short_is_a_broken_one() -> None:
    end = CALL.rindex("}")
    for length in range(len("<tool_call>"), end):
        assert split([CALL[:length]]) == [BrokenCall(CALL[len("<tool_call>") : length])]


def test_a_mark_cut_short_is_text() -> None:
    for length in range(1, len(CALL_BEGINS)):
        assert split(["if a ", CALL_BEGINS[:length]]) == ["if a " + CALL_BEGINS[:length]]


def test_nothing_comes_of_nothing() -> None:
    assert split([]) == split([""]) == []
