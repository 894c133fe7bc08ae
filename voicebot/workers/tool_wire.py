"""Tools and calls as they stand in the headers between the daemon and a worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voicebot.engines.protocols import BrokenCall, ReplyPart, Tool, ToolCall
from voicebot.workers.wire import Header


def encode_tools(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Return the tools of a request as JSON."""
    return [{"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)} for tool in tools]


def decode_tools(tools: list[dict[str, Any]]) -> tuple[Tool, ...]:
    """Return the tools of a request; the daemon has checked them."""
    return tuple(Tool(**tool) for tool in tools)


def encode_part(part: ReplyPart) -> Header:
    """Return a part of a reply as an item: {"text"}, {"call": {"name", "arguments"}} or {"broken_call"}."""
    if isinstance(part, ToolCall):
        return {"call": {"name": part.name, "arguments": part.arguments}}
    if isinstance(part, BrokenCall):
        return {"broken_call": part.text}
    return {"text": part}


def decode_part(item: Header) -> ReplyPart:
    """Return the part of a reply that an item holds."""
    if "call" in item:
        return ToolCall(**item["call"])
    if "broken_call" in item:
        return BrokenCall(item["broken_call"])
    return str(item["text"])
