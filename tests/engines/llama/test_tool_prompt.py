"""Tools are told to a model once: by its template, or in the system message."""

from __future__ import annotations

import json

import jinja2
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from voicebot.engines.llama.calls import CallSplitter
from voicebot.engines.llama.tool_prompt import tell, template_tells, template_tools
from voicebot.engines.llama.weights import Weights
from voicebot.engines.protocols import Message, Tool, ToolCall

TIMER = Tool(
    "set_timer", "Start a timer: {minutes}.", {"type": "object", "properties": {"minutes": {"type": "integer"}}}
)
LIGHT = Tool("light", "", {"type": "object", "properties": {"on": {"enum": ["ja", "nö"]}}})
TALK = (Message("system", "Be brief."), Message("user", "Three minutes, please."))

KNOWS = """\
{%- if tools %}<tools>
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}</tools> Call with <tool_call>...</tool_call>.
{% endif %}{% for message in messages %}{{ message.content }}
{% endfor %}"""


@pytest.fixture
def environment() -> jinja2.Environment:
    return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)


@pytest.mark.parametrize(
    ("source", "tells"),
    [
        pytest.param(KNOWS, True, id="ours"),
        pytest.param("{{ messages }}", False, id="none"),
        pytest.param(
            '{% for tool in tools %}{"name": {{ tool }}, "parameters": ...}{% endfor %}', False, id="other form"
        ),
        pytest.param("{% set tools = [] %}{{ tools }} <tool_call>", False, id="its own variable"),
        pytest.param("{# tools #}{{ messages }} <tool_call>", False, id="comment"),
    ],
)
def test_a_template_that_teaches_our_form_tells_of_the_tools(
    environment: jinja2.Environment, source: str, tells: bool
) -> None:
    assert template_tells(environment, source) is tells


def test_a_template_gets_tools_as_it_expects_them(environment: jinja2.Environment) -> None:
    template = environment.from_string(KNOWS)
    told = template.render(messages=[{"content": "Hi"}], tools=template_tools([TIMER]))
    listed = json.loads(told.splitlines()[1])
    assert listed == {
        "type": "function",
        "function": {"name": "set_timer", "description": TIMER.description, "parameters": TIMER.parameters},
    }
    assert template.render(messages=[{"content": "Hi"}], tools=template_tools([])) == "Hi\n"


def test_the_section_follows_the_system_message() -> None:
    system, user = tell(TALK, [TIMER, LIGHT])
    assert system.role == "system"
    assert system.content.startswith("Be brief.\n\n")
    assert user == TALK[1]
    lines = [json.loads(line) for line in system.content.splitlines() if line.startswith("{")]
    assert [Tool(**line) for line in lines] == [TIMER, LIGHT]
    assert "nö" in system.content  # as the model is to write it


def test_the_example_in_the_section_is_a_call() -> None:
    (system, _user) = tell(TALK, [TIMER])
    splitter = CallSplitter()
    assert ToolCall("the tool", {}) in splitter.feed(system.content)


def test_without_a_system_message_the_section_is_one() -> None:
    told = tell(TALK[1:], [TIMER])
    assert [message.role for message in told] == ["system", "user"]


def test_without_tools_nothing_is_told() -> None:
    assert tell(TALK, []) == TALK


def test_the_section_is_the_same_in_every_turn() -> None:
    longer = (*TALK, Message("assistant", "Done."), Message("user", "Thanks."))
    assert tell(longer, [TIMER])[:2] == tell(TALK, [TIMER])


def test_the_real_models_template_takes_a_told_conversation(weights: Weights) -> None:
    assert "set_timer" in weights.render(tell(TALK, [TIMER]), reply=True)
