"""The worker process as it is seen from its socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.workers.rig import LONG_S, generate, order
from voicebot.engines.scripted import hum
from voicebot.workers.flags import CancelFlag, CancelFlags
from voicebot.workers.wire import Header, encode, receive_frame


@dataclass
class Worker:
    process: subprocess.Popen[str]
    connection: socket.socket
    flags: CancelFlags
    cpu_s: list[float] = field(default_factory=list)
    """What each request has cost, as its end said."""

    def send(self, header: Header, payload: bytes = b"") -> None:
        self.connection.sendall(encode(header, payload))

    def answers(self, header: Header, payload: bytes = b"") -> list[tuple[Header, bytes]]:
        """Send a request and return all its answers, its end included."""
        self.send({"flag": 0, **header}, payload)
        answers: list[tuple[Header, bytes]] = []
        while not answers or "end" not in answers[-1][0]:
            frame = receive_frame(self.connection)
            assert frame is not None
            answers.append(frame)
        self.cpu_s.append(answers[-1][0].pop("cpu_s"))
        return answers

    def exit_code(self) -> int:
        return self.process.wait(LONG_S)


@contextmanager
def started(parent: int | None = None) -> Iterator[Worker]:
    ours, theirs = socket.socketpair()
    flags = CancelFlags.create()
    ours.settimeout(LONG_S)
    with theirs:
        arguments = [theirs.fileno(), flags.descriptor, parent or os.getpid()]
        process = subprocess.Popen(
            [sys.executable, "-m", "voicebot.workers.host", *map(str, arguments)],
            pass_fds=arguments[:2],
            stderr=subprocess.PIPE,
            text=True,
        )
    with process, ours:
        try:
            yield Worker(process, ours, flags)
        finally:
            process.kill()
            flags.close()


@contextmanager
def loaded(stage: str, **settings: Any) -> Iterator[Worker]:
    with started() as worker:
        worker.send(order(stage, **settings).header())
        assert receive_frame(worker.connection) == ({"ready": True}, b"")
        yield worker


def test_a_transcript_has_all_its_parts() -> None:
    with loaded("asr") as worker:
        answers = worker.answers({"id": 7, "op": "transcribe", "thorough": True}, hum(32_000).tobytes())
    item = {
        "text": "an utterance of 2 seconds",
        "mean_logprob": -0.1,
        "no_speech_probability": 0.0,
        "window_s": 2.0,
        "fallback": False,
        "hurried": False,
        "second_model": None,
    }
    assert answers == [({"id": 7, "item": item}, b""), ({"id": 7, "end": "done"}, b"")]


def test_a_reply_streams_and_a_cancelled_one_is_not_begun() -> None:
    request = generate("a b", 9)
    with loaded("slm") as worker:
        texts = [header.get("item") for header, _ in worker.answers({"id": 1, **request})]
        assert texts == [{"text": "You"}, {"text": " said:"}, {"text": " a"}, {"text": " b."}, None]
        (computed, _), _ = worker.answers({"id": 2, "op": "prefill", "messages": []})
        assert computed == {"id": 2, "item": {"computed": 0, "held": 0}}
        flag: CancelFlag = worker.flags[9]
        flag.request()
        assert worker.answers({"id": 3, **request, "flag": 9}) == [({"id": 3, "end": "cancelled"}, b"")]
        flag.clear()
        assert len(worker.answers({"id": 4, **request, "flag": 9})) == 5


def test_every_end_tells_what_the_request_has_cost() -> None:
    with loaded("slm") as worker:
        for words in (1, 2000, 1):
            worker.answers({"id": 1, **generate("word " * words, 4000)})
    small, large, last = worker.cpu_s
    assert 0 < small < large
    assert 0 < last < large


def test_audio_goes_as_raw_bytes() -> None:
    with loaded("tts") as worker:
        answers = worker.answers({"id": 1, "op": "synthesize", "text": "a c", "first": True})
    assert answers == [
        ({"id": 1, "item": {"word_ends": [960, 2880]}}, hum(2880).tobytes()),
        ({"id": 1, "end": "done"}, b""),
    ]


def test_a_voice_is_judged() -> None:
    with loaded("turn") as worker:
        (answer, _), _ = worker.answers({"id": 1, "op": "judge"}, hum(16_000).tobytes())
    assert answer == {"id": 1, "item": {"probability": 0.9, "pitch_semitones": -3.0, "level_db": -20.0, "change": 0.5}}


def test_it_ends_when_the_socket_does() -> None:
    with loaded("slm") as worker:
        worker.connection.close()
        assert worker.exit_code() == 0


def test_it_ends_when_nobody_orders_anything() -> None:
    with started() as worker:
        worker.connection.close()
        assert worker.exit_code() == 0


def test_it_ends_when_a_request_is_cut_short() -> None:
    with loaded("slm") as worker:
        worker.connection.sendall(encode({"id": 1})[:5])
        worker.connection.close()
        assert worker.exit_code() == 0


def test_it_ends_quietly_when_nobody_takes_its_answer() -> None:
    with loaded("slm") as worker:
        worker.send({"id": 1, "flag": 0, **generate("word " * 9000, 9000)})
        assert receive_frame(worker.connection) is not None
        worker.connection.close()
        assert worker.exit_code() == 0
        assert worker.process.stderr is not None
        assert worker.process.stderr.read() == ""


def test_it_ends_when_its_parent_is_gone_before_it_asked_the_kernel() -> None:
    with started(parent=1) as worker:
        assert worker.exit_code() == 0


@pytest.mark.parametrize(
    ("stage", "engine", "message"),
    [
        ("asr", "faster-whisper", "faster-whisper can't load"),
        ("slm", "llama", "llama.cpp can't load"),
        ("turn", "smart-turn", "onnxruntime can't load"),
    ],
)
def test_an_engine_that_does_not_load_is_reported(stage: str, engine: str, message: str) -> None:
    with started() as worker:
        worker.send({**order(stage).header(), "settings": {"engine": engine}, "model": "/nonexistent"})
        answer = receive_frame(worker.connection)
        assert answer is not None
        assert message in answer[0]["failed"]
        assert worker.exit_code() == 1
