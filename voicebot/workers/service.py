"""How a worker answers: the most urgent request first, or those of several sessions together."""

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
from voicebot.workers.freed_memory import give_back
from voicebot.workers.tool_wire import decode_tools, encode_part
from voicebot.workers.wire import Header, encode, receive_frame

Reply = tuple[Header, bytes]
Serve = Callable[[Header, bytes, Cancel], Iterator[Reply]]


class Service(Protocol):
    """A loaded engine that answers what comes over a socket."""

    def run(self, connection: socket.socket, flags: CancelFlags) -> None:
        """Serve until the other side is gone. A request's header names its flag."""


class MostUrgentFirst:
    """Answers what somebody waits for before what is made ahead of time, and else what came first.

    An answer gives way between two of its items, which of speech are some tenths of a second of sound.
    """

    def __init__(self, serve: Serve, rest: Callable[[], None] = give_back, rest_after_s: float = 1.0) -> None:
        """`serve` yields the items of an answer; several may be under way.

        `rest` is called once when nothing was asked for `rest_after_s` since the last answer.
        """
        self._serve = serve
        self._rest = rest
        self._rest_after_s = rest_after_s

    def run(self, connection: socket.socket, flags: CancelFlags) -> None:
        """Serve until the other side is gone."""
        under_way: list[_UnderWay] = []
        rested = False
        while True:
            while not under_way or select.select([connection], [], [], 0.0)[0]:
                if not (under_way or rested or select.select([connection], [], [], self._rest_after_s)[0]):
                    self._rest()
                    rested = True
                frame = receive_frame(connection)
                if frame is None:
                    return
                header, payload = frame
                if header.get("op") == "ping":
                    connection.sendall(_end(header["id"], None, 0.0))
                else:
                    under_way.append(_UnderWay(self._serve, header, payload, flags[header["flag"]]))
            rested = False
            answer = min(under_way, key=lambda one: one.rank)
            connection.sendall(answer.next_frame())
            if answer.ended:
                under_way.remove(answer)


class _UnderWay:
    """One answer, item by item."""

    def __init__(self, serve: Serve, header: Header, payload: bytes, flag: Cancel) -> None:
        self.ended = False
        # Partial words, and clauses after the first one, are wanted a little later.
        self.rank = 0 if header.get("thorough", True) and header.get("first", True) else 1
        self._number = header["id"]
        self._flag = flag
        self._items = serve(header, payload, flag)
        self._cpu_s = 0.0

    def next_frame(self) -> bytes:
        """Compute and return the next frame; with the last one it has ended."""
        began_s = time.process_time()
        try:
            self._flag.raise_if_requested()
            item, data = next(self._items)
            return encode({"id": self._number, "item": item}, data)
        except StopIteration:
            return self._end(None, began_s)
        except (CancelledWorkError, EngineError) as failed:
            return self._end(failed, began_s)
        finally:
            self._cpu_s += time.process_time() - began_s

    def _end(self, error: VoicebotError | None, began_s: float) -> bytes:
        self.ended = True
        return _end(self._number, error, self._cpu_s + time.process_time() - began_s)


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
