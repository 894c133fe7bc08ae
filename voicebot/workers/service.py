"""How a worker answers: one request after the other, or those of several sessions together."""

from __future__ import annotations

import math
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from voicebot.engines.protocols import (
    Answer,
    BrokenCall,
    Cancel,
    Computed,
    LanguageModel,
    Message,
    Piece,
    SlmItem,
    SlmRequest,
    ToolCall,
    Weighed,
)
from voicebot.errors import CancelledWorkError, EngineError, VoicebotError
from voicebot.workers.flags import CancelFlags
from voicebot.workers.tool_wire import decode_tools, encode_part
from voicebot.workers.wire import Header, encode, receive_frame

Reply = tuple[Header, bytes]
Serve = Callable[[Header, bytes, Cancel], Iterator[Reply]]


class Service(Protocol):
    """A loaded engine that answers what comes over a socket."""

    def run(self, connection: socket.socket, flags: CancelFlags) -> None:
        """Serve until the other side is gone. A request's header names its flag."""


class OneByOne:
    """Answers requests in the order in which they come."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve

    def run(self, connection: socket.socket, flags: CancelFlags) -> None:
        """Serve until the other side is gone."""
        while (request := receive_frame(connection)) is not None:
            header, payload = request
            if header.get("op") == "ping":
                connection.sendall(_end(header["id"], None, 0.0))
                continue
            began_s = time.process_time()
            error: VoicebotError | None = None
            flag = flags[header["flag"]]
            try:
                flag.raise_if_requested()
                for item, data in self._serve(header, payload, flag):
                    connection.sendall(encode({"id": header["id"], "item": item}, data))
                    flag.raise_if_requested()
            except (CancelledWorkError, EngineError) as failed:
                error = failed
            connection.sendall(_end(header["id"], error, time.process_time() - began_s))


class Together:
    """Advances the requests of all sessions at once, and takes up new ones between two steps."""

    def __init__(self, model: LanguageModel, rest_after_s: float = 1.0) -> None:
        """`rest_after_s`: how long nothing may be asked before the model does what can wait, in small pieces."""
        self._model = model
        self._rest_after_s = rest_after_s

    def run(self, connection: socket.socket, flags: CancelFlags) -> None:
        """Serve until the other side is gone."""
        answers: dict[int, Answer] = {}
        unrested = True
        while True:
            wait_s = 0.0 if self._model.busy else self._rest_after_s if unrested else None
            if select.select([connection], [], [], wait_s)[0]:
                frame = receive_frame(connection)
                if frame is None:
                    return
                header = frame[0]
                if header.get("op") == "ping":
                    connection.sendall(_end(header["id"], None, 0.0))
                    continue
                answers[header["id"]] = self._model.submit(_request(header), flags[header["flag"]])
            elif self._model.busy:
                self._model.step()
                unrested = True
            else:
                unrested = self._model.rest()
            for number, answer in tuple(answers.items()):
                while answer.items:
                    connection.sendall(encode({"id": number, "item": _item(answer.items.popleft())}))
                if answer.ended:
                    del answers[number]
                    connection.sendall(_end(number, answer.error, answer.cpu_s))


def _request(header: Header) -> SlmRequest:
    return SlmRequest(
        op=header["op"],
        messages=tuple(Message(role, content) for role, content in header["messages"]),
        session=header.get("session", ""),
        max_tokens=header.get("max_tokens", 0),
        begun=header.get("begun", ""),
        within_s=math.inf if header.get("within_s") is None else header["within_s"],
        tools=decode_tools(header.get("tools", [])),
        must_call=header.get("must_call", False),
        spoken=header.get("spoken", True),
        confidence=header.get("confidence", False),
    )


def _item(item: SlmItem) -> Header:
    match item:
        case Computed(tokens, held):
            return {"computed": tokens, "held": held}
        case Weighed(probability):
            return {"probability": probability}
        case Piece(text, logprob):
            return {"text": text} if logprob is None else {"text": text, "logprob": logprob}
        case ToolCall() | BrokenCall():
            return encode_part(item)


def _end(number: int, error: VoicebotError | None, cpu_s: float) -> bytes:
    if error is None:
        end: Header = {"end": "done"}
    elif isinstance(error, CancelledWorkError):
        end = {"end": "cancelled"}
    else:
        end = {"end": "failed", "reason": str(error)}
    return encode({"id": number, **end, "cpu_s": cpu_s})
