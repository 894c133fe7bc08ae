"""Tools and calls come out of a frame as they went in."""

from __future__ import annotations

import socket

import pytest

from voicebot.engines.protocols import BrokenCall, ReplyPart, Tool, ToolCall
from voicebot.workers.tool_wire import decode_part, decode_tools, encode_part, encode_tools
from voicebot.workers.wire import Header, encode, receive_frame


def sent(header: Header) -> Header:
    """What arrives of a header at the other end of a socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(encode(header))
        frame = receive_frame(theirs)
    assert frame is not None
    return frame[0]


def test_tools_arrive_as_they_were() -> None:
    tools = (
        Tool("light", "Schaltet Lämpchen \U0001f4a1.", {"type": "object", "properties": {"on": {"type": "boolean"}}}),
        Tool("stop", "", {"type": "object", "properties": {}}),
    )
    assert decode_tools(sent({"tools": encode_tools(tools)})["tools"]) == tools


@pytest.mark.parametrize(
    ("part", "item"),
    [
        ("Grüße \U0001f642", {"text": "Grüße \U0001f642"}),
        ("", {"text": ""}),
        (ToolCall("light", {"on": True, "level": [1, 2.5, None]}),
         {"call": {"name": "light", "arguments": {"on": True, "level": [1, 2.5, None]}}}),
        (BrokenCall('{"name": '), {"broken_call": '{"name": '}),
    ],
)  # fmt: skip
def test_a_part_of_a_reply_arrives_as_it_was(part: ReplyPart, item: Header) -> None:
    assert encode_part(part) == item
    assert decode_part(sent(item)) == part
