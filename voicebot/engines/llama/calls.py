"""Tells the text of a reply from the tool calls in it, as both stream in.

A call is written `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, as Hermes and Qwen models are trained to
write it. Knows nothing of tokens, tools or schemas.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Final

from voicebot.engines.protocols import BrokenCall, ReplyPart, ToolCall

CALL_BEGINS: Final = "<tool_call>"
CALL_ENDS: Final = "</tool_call>"


class CallSplitter:
    """One reply. Text is passed on as it comes; a call when its JSON is complete; what is no call after all as such.

    At most a beginning of a mark is held back of a text.
    """

    def __init__(self) -> None:
        self._rest = ""
        """What came and has not been passed on; between the marks of a call all that stands there."""
        self._read: Callable[[], list[ReplyPart] | None] = self._text
        self._begin_call()

    @property
    def in_call(self) -> bool:
        """Whether the reply is between the marks of a call, so that its end would break that call."""
        return self._read in (self._call, self._broken)

    def feed(self, text: str) -> list[ReplyPart]:
        """Return what is certain now."""
        self._rest += text
        items: list[ReplyPart] = []
        while (more := self._read()) is not None:
            items += more
        return items + self._certain_text()

    def finish(self) -> list[ReplyPart]:
        """Return what is left at the end of the reply. A call that is cut short is a broken one."""
        rest, self._rest = self._rest, ""
        if self.in_call:
            return [BrokenCall(rest)]
        return [rest] if rest and self._read == self._text else []

    def _text(self) -> list[ReplyPart] | None:
        """Read up to the next call; None when there is none yet."""
        text, mark, rest = self._rest.partition(CALL_BEGINS)
        if not mark:
            return None
        self._rest, self._read = rest, self._call
        self._begin_call()
        return [text] if text else []

    def _certain_text(self) -> list[ReplyPart]:
        if self._read != self._text:
            return []
        held = next(n for n in range(len(CALL_BEGINS) - 1, -1, -1) if self._rest.endswith(CALL_BEGINS[:n]))
        end = len(self._rest) - held
        text, self._rest = self._rest[:end], self._rest[end:]
        return [text] if text else []

    def _begin_call(self) -> None:
        self._scanned = self._depth = 0
        self._in_string = self._escaped = False

    def _call(self) -> list[ReplyPart] | None:
        """Read a call's JSON up to the brace that closes it."""
        for place in range(self._scanned, len(self._rest)):
            character = self._rest[place]
            if self._in_string:
                self._in_string = self._escaped or character != '"'
                self._escaped = character == "\\" and not self._escaped
            elif character == '"' and self._depth:
                self._in_string = True
            elif character == "{":
                self._depth += 1
            elif character == "}" and self._depth:
                self._depth -= 1
                if not self._depth:
                    body, self._rest = self._rest[: place + 1], self._rest[place + 1 :]
                    self._read = self._closing
                    return [_parse(body)]
            elif character == "<" or not (self._depth or character.isspace()):
                self._read = self._broken  # neither belongs to JSON here
                return []
        self._scanned = len(self._rest)
        return None

    def _broken(self) -> list[ReplyPart] | None:
        """Read a broken call up to its closing mark."""
        body, mark, rest = self._rest.partition(CALL_ENDS)
        if not mark:
            return None
        self._rest, self._read = rest, self._text
        return [BrokenCall(body)]

    def _closing(self) -> list[ReplyPart] | None:
        """Drop the closing mark after a call; where something else comes, it is text."""
        after = self._rest.lstrip()
        if len(after) < len(CALL_ENDS) and CALL_ENDS.startswith(after):
            return None
        if after.startswith(CALL_ENDS):
            self._rest = after.removeprefix(CALL_ENDS)
        self._read = self._text
        return []


def _parse(body: str) -> ToolCall | BrokenCall:
    try:
        call = json.loads(body, parse_constant=_refuse, parse_float=_finite)
        json.dumps(call, ensure_ascii=False).encode()  # half a surrogate pair could never be printed
    except (ValueError, RecursionError):
        return BrokenCall(body)
    if call.keys() != {"name", "arguments"}:
        return BrokenCall(body)
    if not isinstance(call["name"], str) or not isinstance(call["arguments"], dict):
        return BrokenCall(body)
    return ToolCall(call["name"], call["arguments"])


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits} is too large")
    return number
