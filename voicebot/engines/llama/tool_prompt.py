"""How a model is told of its tools: by its own chat template where that knows our form of a call, else in words."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, Final

import jinja2
from jinja2 import meta

from voicebot.engines.llama.calls import CALL_BEGINS, CALL_ENDS
from voicebot.engines.protocols import Message, Tool

_SECTION: Final = """\
You can use these tools. Each line has a tool's name, its purpose and the JSON schema of its arguments.
{tools}
To use one, write this and nothing after it:
{begins}{{"name": "the tool", "arguments": {{}}}}{ends}
Use a tool only when the request needs it. Otherwise answer in plain words."""


def template_tells(environment: jinja2.Environment, source: str) -> bool:
    """Return whether a chat template lists tools by itself and teaches our form of a call.

    One that teaches another form would contradict the grammar. Raises jinja2.TemplateError when it can't be parsed.
    """
    return CALL_BEGINS in source and "tools" in meta.find_undeclared_variables(environment.parse(source))


def template_tools(tools: Sequence[Tool]) -> list[dict[str, Any]] | None:
    """Return what a chat template expects as its variable `tools`: OpenAI's objects, and None for no tools."""
    return [{"type": "function", "function": _plain(tool)} for tool in tools] or None


def tell(messages: Sequence[Message], tools: Sequence[Tool]) -> tuple[Message, ...]:
    """Return the conversation with the tools described at the end of its system message.

    The words depend on the tools alone, so that what is computed of them serves every turn.
    """
    if not tools:
        return tuple(messages)
    lines = "\n".join(json.dumps(_plain(tool), ensure_ascii=False) for tool in tools)
    section = _SECTION.format(tools=lines, begins=CALL_BEGINS, ends=CALL_ENDS)
    if messages and messages[0].role == "system":
        first = messages[0]
        return (dataclasses.replace(first, content=f"{first.content}\n\n{section}"), *messages[1:])
    return (Message("system", section), *messages)


def _plain(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
