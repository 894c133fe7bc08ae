"""The worker process: loads one engine, then serves requests until the daemon is gone.

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
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from voicebot.audio import SAMPLE_RATE_HZ, silence
from voicebot.config.pipeline import AsrSettings, SlmSettings, TtsSettings, TurnModelSettings
from voicebot.engines import registry
from voicebot.engines.protocols import Cancel, Recognizer, Synthesizer, TurnModel
from voicebot.errors import EngineError
from voicebot.workers.flags import CancelFlags
from voicebot.workers.service import MostUrgentFirst, Reply, Service, Together
from voicebot.workers.wire import Header, encode, receive_frame

_log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG: Final = 1


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
        service = load(first[0], flags)
    except EngineError as error:
        connection.sendall(encode({"failed": str(error)}))
        return 1
    connection.sendall(encode({"ready": True}))
    service.run(connection, flags)
    return 0


def load(order: Header, flags: CancelFlags) -> Service:
    """Load the engine that the first frame names, run it once so that it is warm, and return how it serves."""
    model, threads, flag = Path(order["model"]), int(order["threads"]), flags.own
    companion = None if order["companion"] is None else Path(order["companion"])
    if order["stage"] == "asr":
        recognizer = registry.load_recognizer(AsrSettings(**order["settings"]), model, threads, companion)
        recognizer.transcribe(silence(SAMPLE_RATE_HZ), flag)  # doubtful, so that a second model is run as well
        return MostUrgentFirst(lambda header, payload, cancel: _transcribe(recognizer, header, payload, cancel))
    if order["stage"] == "slm":
        settings = SlmSettings(**order["settings"])
        cache, prefill_threads = Path(order["cache"]), int(order["prefill_threads"])
        return Together(
            registry.load_language_model(settings, model, threads, prefill_threads, cache, flags.alarm, companion)
        )
    if order["stage"] == "turn":
        turn_model = registry.load_turn_model(TurnModelSettings(**order["settings"]), model, threads)
        turn_model.judge(silence(SAMPLE_RATE_HZ), flag)
        return MostUrgentFirst(lambda header, payload, cancel: _judge(turn_model, header, payload, cancel))
    synthesizer = registry.load_synthesizer(TtsSettings(**order["settings"]), model, threads)
    list(synthesizer.synthesize("Ready.", first=True, cancel=flag))
    return MostUrgentFirst(lambda header, payload, cancel: _synthesize(synthesizer, header, payload, cancel))


def _transcribe(engine: Recognizer, header: Header, payload: bytes, cancel: Cancel) -> Iterator[Reply]:
    asked = {"thorough": header["thorough"], "within_s": header.get("within_s")}
    transcript = engine.transcribe(np.frombuffer(payload, np.int16), cancel, **asked)
    yield dataclasses.asdict(transcript), b""


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
