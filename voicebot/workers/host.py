"""The worker process: loads one engine, then serves one request after the other until the daemon is gone.

Started as `python -m voicebot.workers.host SOCKET FLAGS PARENT` with two inherited descriptors and the daemon's process
id. The first frame says what to load. It never outlives the daemon: the kernel kills it with its parent, and an end of
the socket ends it too.
"""

from __future__ import annotations

import ctypes
import dataclasses
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from voicebot.audio import SAMPLE_RATE_HZ, silence
from voicebot.config.pipeline import AsrSettings, SlmSettings, TtsSettings, TurnModelSettings
from voicebot.engines import registry
from voicebot.engines.protocols import Cancel, LanguageModel, Message, Recognizer, Synthesizer, TurnModel
from voicebot.errors import CancelledWorkError, EngineError
from voicebot.workers.flags import FLAG_COUNT, CancelFlag, CancelFlags
from voicebot.workers.wire import Header, encode, receive_frame

_log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG: Final = 1
Reply = tuple[Header, bytes]
Serve = Callable[[Header, bytes, Cancel], Iterator[Reply]]


def main(arguments: list[str]) -> int:
    """Serve until the daemon is gone; returns the exit code."""
    socket_descriptor, flags_descriptor, parent = map(int, arguments)
    _die_with(parent)
    connection = socket.socket(fileno=socket_descriptor)
    flags = CancelFlags(flags_descriptor)
    try:
        return _run(connection, flags)
    except (BrokenPipeError, ConnectionResetError):
        return 0


def _die_with(parent: int) -> None:
    """Ask the kernel to kill this process when the daemon's thread that started it is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def _run(connection: socket.socket, flags: CancelFlags) -> int:
    first = receive_frame(connection)
    if first is None:
        return 0
    try:
        serve = load(first[0], flags[FLAG_COUNT - 1])
    except EngineError as error:
        connection.sendall(encode({"failed": str(error)}))
        return 1
    connection.sendall(encode({"ready": True}))
    while (request := receive_frame(connection)) is not None:
        _serve_one(connection, serve, request, flags[request[0]["flag"]])
    return 0


def _serve_one(connection: socket.socket, serve: Serve, request: Reply, flag: CancelFlag) -> None:
    header, payload = request
    number = header["id"]
    began_s = time.process_time()
    try:
        flag.raise_if_requested()
        for item, data in serve(header, payload, flag):
            connection.sendall(encode({"id": number, "item": item}, data))
            flag.raise_if_requested()
        end: Header = {"id": number, "end": "done"}
    except CancelledWorkError:
        end = {"id": number, "end": "cancelled"}
    except EngineError as error:
        end = {"id": number, "end": "failed", "reason": str(error)}
    connection.sendall(encode({**end, "cpu_s": time.process_time() - began_s}))


def load(order: Header, flag: Cancel) -> Serve:
    """Load the engine that the first frame names, run it once so that it is warm, and return how it serves."""
    model, threads = Path(order["model"]), int(order["threads"])
    if order["stage"] == "asr":
        recognizer = registry.load_recognizer(AsrSettings(**order["settings"]), model, threads)
        recognizer.transcribe(silence(SAMPLE_RATE_HZ), flag)
        return lambda header, payload, cancel: _transcribe(recognizer, header, payload, cancel)
    if order["stage"] == "slm":
        language_model = registry.load_language_model(
            SlmSettings(**order["settings"]), model, threads, int(order["prefill_threads"])
        )
        language_model.prefill((Message("system", "Ready."),), flag)
        return lambda header, payload, cancel: _converse(language_model, header, payload, cancel)
    if order["stage"] == "turn":
        turn_model = registry.load_turn_model(TurnModelSettings(**order["settings"]), model, threads)
        turn_model.judge(silence(SAMPLE_RATE_HZ), flag)
        return lambda header, payload, cancel: _judge(turn_model, header, payload, cancel)
    synthesizer = registry.load_synthesizer(TtsSettings(**order["settings"]), model, threads)
    list(synthesizer.synthesize("Ready.", first=True, cancel=flag))
    return lambda header, payload, cancel: _synthesize(synthesizer, header, payload, cancel)


def _transcribe(engine: Recognizer, header: Header, payload: bytes, cancel: Cancel) -> Iterator[Reply]:
    transcript = engine.transcribe(np.frombuffer(payload, np.int16), cancel, thorough=header["thorough"])
    yield dataclasses.asdict(transcript), b""


def _converse(engine: LanguageModel, header: Header, payload: bytes, cancel: Cancel) -> Iterator[Reply]:
    del payload
    messages = tuple(Message(role, content) for role, content in header["messages"])
    if header["op"] == "prefill":
        yield {"computed": engine.prefill(messages, cancel)}, b""
    elif header["op"] == "end":
        yield {"probability": engine.end_probability(messages, cancel)}, b""
    else:
        for text in engine.generate(messages, header["max_tokens"], cancel, header["begun"]):
            yield {"text": text}, b""


def _judge(engine: TurnModel, header: Header, payload: bytes, cancel: Cancel) -> Iterator[Reply]:
    del header
    yield dataclasses.asdict(engine.judge(np.frombuffer(payload, np.int16), cancel)), b""


def _synthesize(engine: Synthesizer, header: Header, payload: bytes, cancel: Cancel) -> Iterator[Reply]:
    del payload
    for speech in engine.synthesize(header["text"], first=header["first"], cancel=cancel):
        yield {"word_ends": speech.word_ends}, speech.pcm.tobytes()


if __name__ == "__main__":
    logging.basicConfig(level=os.environ.get("VOICEBOT_LOG", "WARNING"), format="%(levelname)s %(name)s: %(message)s")
    sys.exit(main(sys.argv[1:]))
