"""How a worker answers several sessions at once: their items alternate, and each of them ends by itself."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.workers.rig import LONG_S, generate
from voicebot.engines.protocols import (
    Answer,
    BrokenCall,
    Cancel,
    Piece,
    SlmRequest,
    ToolCall,
    Weighed,
)
from voicebot.engines.scripted import ScriptedModel, ScriptedSessions
from voicebot.errors import EngineError
from voicebot.workers.flags import CancelFlags
from voicebot.workers.service import MostUrgentFirst, Reply, Together
from voicebot.workers.wire import Header, encode, receive_frame


class Line:
    """The daemon's end of the socket."""

    def __init__(self, connection: socket.socket, flags: CancelFlags) -> None:
        self.connection = connection
        self.flags = flags

    def send(self, number: int, header: Header) -> None:
        self.connection.sendall(encode({"id": number, "flag": number, **header}))

    def receive(self) -> Header:
        frame = receive_frame(self.connection)
        assert frame is not None
        return frame[0]

    def until_ends(self, count: int) -> list[Header]:
        frames: list[Header] = []
        while sum("end" in frame for frame in frames) < count:
            frames.append(self.receive())
        return frames


class Recording(ScriptedSessions):
    """Remembers what it was asked, and has some rest to do."""

    def __init__(self) -> None:
        super().__init__(ScriptedModel())
        self.requests: list[SlmRequest] = []
        self.rests = 3

    def submit(self, request: SlmRequest, cancel: Cancel) -> Answer:
        self.requests.append(request)
        if request.op == "end":
            answer = Answer()
            answer.items.extend([ToolCall("a", {"b": 1}), BrokenCall("c"), Piece("d", -0.5), Weighed(0.25)])
            answer.end(EngineError("it failed."))
            return answer
        return super().submit(request, cancel)

    def rest(self) -> bool:
        self.rests -= 1
        return self.rests > 0


@pytest.fixture
def model() -> Recording:
    return Recording()


@pytest.fixture
def line(model: Recording) -> Iterator[Line]:
    ours, theirs = socket.socketpair()
    ours.settimeout(LONG_S)
    flags = CancelFlags.create()
    serving = threading.Thread(target=Together(model, rest_after_s=0.0).run, args=(theirs, flags), daemon=True)
    serving.start()
    yield Line(ours, flags)
    ours.close()
    serving.join(LONG_S)
    assert not serving.is_alive()
    theirs.close()
    flags.close()


def test_the_items_of_two_requests_alternate(line: Line) -> None:
    for number in (1, 2):
        line.send(number, generate("word " * 2000, 500))
    frames = line.until_ends(2)
    texts = [frame["id"] for frame in frames if "item" in frame]
    assert texts.count(1) == texts.count(2) == 500
    assert sum(one != other for one, other in pairwise(texts)) > 100
    assert [frame["end"] for frame in frames if "end" in frame] == ["done", "done"]


def test_one_is_cancelled_and_the_other_goes_on(line: Line) -> None:
    for number in (1, 2):
        line.send(number, generate("word " * 4000, 4000))
    line.receive()
    line.flags[1].request()
    line.flags.alarm.request()
    ends = {frame["id"]: frame["end"] for frame in line.until_ends(2) if "end" in frame}
    assert ends == {1: "cancelled", 2: "done"}


def test_every_item_has_its_form_and_an_error_its_reason(line: Line) -> None:
    line.send(1, {"op": "end", "messages": [["user", "hello"]]})
    frames = line.until_ends(1)
    assert [frame["item"] for frame in frames[:-1]] == [
        {"call": {"name": "a", "arguments": {"b": 1}}},
        {"broken_call": "c"},
        {"text": "d", "logprob": -0.5},
        {"probability": 0.25},
    ]
    assert frames[-1] == {"id": 1, "end": "failed", "reason": "it failed.", "cpu_s": 0.0}
    line.send(2, {"op": "prefill", "messages": [["user", "hello"]]})
    assert line.until_ends(1)[0]["item"] == {"computed": 0, "held": 0}


def test_a_request_is_understood_whole(line: Line, model: Recording) -> None:
    tool = {"name": "t", "description": "d", "parameters": {"type": "object"}}
    line.send(
        1, {**generate("a", 2), "session": "s", "within_s": 0.3, "spoken": False, "tools": [tool], "must_call": True}
    )
    line.send(2, {**generate("a", 2), "within_s": None, "confidence": True})
    line.until_ends(2)
    first, second = model.requests
    assert (first.session, first.within_s, first.tools[0].name, first.must_call) == ("s", 0.3, "t", True)
    assert not first.spoken
    assert (second.within_s, second.confidence, second.tools, second.spoken) == (float("inf"), True, (), True)


def test_what_can_wait_is_done_before_it_waits(line: Line, model: Recording) -> None:
    line.send(1, generate("a", 1))
    line.until_ends(1)
    until_s = time.monotonic() + LONG_S
    while model.rests > 0 and time.monotonic() < until_s:
        time.sleep(0.001)
    assert model.rests <= 0


@pytest.fixture
def served() -> list[str]:
    """What was computed, in that order."""
    return []


@pytest.fixture
def speaking(served: list[str]) -> Iterator[tuple[Line, threading.Event]]:
    """A worker whose answers have three items, and wait for a moment after their first one."""
    ours, theirs = socket.socketpair()
    flags = CancelFlags.create()
    goes_on = threading.Event()

    def serve(header: Header, payload: bytes, cancel: Cancel) -> Iterator[Reply]:
        for part in range(3):
            cancel.raise_if_requested()
            served.append(f"{header['text']}{part}")
            yield {"part": part}, payload
            goes_on.wait(LONG_S)
        if header["text"] == "fails":
            raise EngineError("it failed.")

    serving = threading.Thread(target=MostUrgentFirst(serve).run, args=(theirs, flags), daemon=True)
    serving.start()
    yield Line(ours, flags), goes_on
    goes_on.set()
    ours.close()
    serving.join()
    theirs.close()


def test_what_somebody_waits_for_goes_before_what_is_made_ahead(
    speaking: tuple[Line, threading.Event], served: list[str]
) -> None:
    line, goes_on = speaking
    line.send(1, {"op": "synthesize", "text": "ahead", "first": False})
    assert line.receive()["item"] == {"part": 0}
    line.send(2, {"op": "synthesize", "text": "later", "first": False})
    line.send(3, {"op": "synthesize", "text": "heard", "first": True})
    line.send(4, {"op": "ping"})
    goes_on.set()
    frames = line.until_ends(4)
    assert [frame["id"] for frame in frames if "end" in frame] == [4, 3, 1, 2]
    # Whether the second item of the first one was begun before the others came is a matter of chance.
    assert served.index("heard2") < served.index("ahead2") < served.index("later0")


def test_one_that_is_cancelled_or_fails_ends_alone(speaking: tuple[Line, threading.Event], served: list[str]) -> None:
    line, goes_on = speaking
    line.send(1, {"op": "transcribe", "text": "partial", "thorough": False})
    assert line.receive()["item"] == {"part": 0}
    line.send(2, {"op": "transcribe", "text": "fails", "thorough": True})
    line.send(3, {"op": "judge", "text": "voice"})
    line.flags[1].request()
    goes_on.set()
    frames = line.until_ends(3)
    assert {frame["id"]: frame["end"] for frame in frames if "end" in frame} == {
        1: "cancelled",
        2: "failed",
        3: "done",
    }
    assert "partial1" not in served


def test_it_rests_once_after_its_answers_and_again_after_the_next() -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(LONG_S)
    flags = CancelFlags.create()
    rests = threading.Semaphore(0)
    answers = MostUrgentFirst(lambda *_: iter([]), rests.release, rest_after_s=0.01)
    serving = threading.Thread(target=answers.run, args=(theirs, flags), daemon=True)
    serving.start()
    line = Line(ours, flags)
    assert rests.acquire(timeout=LONG_S)
    for number in (1, 2):
        line.send(number, {"op": "synthesize"})
        line.until_ends(1)
        assert rests.acquire(timeout=LONG_S)
    line.send(3, {"op": "ping"})
    line.until_ends(1)
    assert not rests.acquire(timeout=0.05)
    ours.close()
    serving.join(LONG_S)
    theirs.close()
    flags.close()
