"""OpenAI's protocol for chats: what is sent to /chat/completions, and what is used of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel

from voicebot.config.pipeline import SlmSettings
from voicebot.engines.protocols import Message

_LETTERS_PER_TOKEN: Final = 3.0
"""To tell what fits into a context without the server's tokenizer. English has four and more, other languages less."""


class Delta(BaseModel):
    """What an event adds to the reply."""

    content: str | None = None


class Choice(BaseModel):
    """One of the replies, of which only one is asked for."""

    delta: Delta = Delta()
    finish_reason: str | None = None


class Chunk(BaseModel):
    """An event of a streamed reply."""

    choices: tuple[Choice, ...] = ()
    error: Any = None


class OfferedModel(BaseModel):
    """A model that a server has."""

    id: str


class ModelList(BaseModel):
    """The answer to /models."""

    data: tuple[OfferedModel, ...]


def request_body(slm: SlmSettings, messages: Sequence[Message], max_tokens: int, begun: str = "") -> dict[str, Any]:
    """Return the body of a request for a streamed reply, which goes on after `begun` where the server can do that."""
    fitting = fit(messages, slm.context_tokens - max_tokens)
    said = [*fitting, Message("assistant", begun)] if begun else fitting
    return {
        "model": slm.model,
        "messages": [{"role": message.role, "content": message.content} for message in said],
        "max_tokens": max_tokens,
        "temperature": slm.temperature,
        "top_p": slm.top_p,
        "stream": True,
    }


def fit(messages: Sequence[Message], room_tokens: int) -> Sequence[Message]:
    """Leave out the oldest exchanges that do not fit; never the system prompt nor the last message."""
    system = messages[:1] if messages[0].role == "system" else ()
    rest = messages[len(system) :]
    while len(rest) > 1 and sum(len(each.content) for each in (*system, *rest)) > room_tokens * _LETTERS_PER_TOKEN:
        rest = rest[min(2, len(rest) - 1) :]
    return (*system, *rest)
