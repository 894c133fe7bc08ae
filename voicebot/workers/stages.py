"""The heavy stages as the pipeline awaits them, served by worker processes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

import numpy as np

from voicebot.audio import Pcm
from voicebot.engines.protocols import Message, Speech, Transcript, VoiceEnd
from voicebot.errors import EngineError
from voicebot.workers.process import Reply
from voicebot.workers.supervisor import Supervisor
from voicebot.workers.wire import Header


class WorkerAsr:
    """Speech to text in a worker."""

    def __init__(self, worker: Supervisor) -> None:
        self._worker = worker

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True) -> Transcript:
        """Return what was said. `thorough`: doubtful words may be looked at again, which takes longer."""
        reply = await _only(self._worker, {"op": "transcribe", "thorough": thorough}, pcm.tobytes())
        return Transcript(**reply.item)


class WorkerSlm:
    """Text to reply in a worker."""

    def __init__(self, worker: Supervisor) -> None:
        self._worker = worker

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        """Take in a conversation so far; returns how many tokens had to be computed."""
        reply = await _only(self._worker, _asked("prefill", messages, session))
        return int(reply.item["computed"])

    async def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        """Yield the reply piece by piece; what goes on after `begun` if that is given."""
        header = {**_asked("generate", messages, session), "max_tokens": max_tokens, "begun": begun}
        async with contextlib.aclosing(self._worker.request(header)) as replies:
            async for reply in replies:
                yield reply.item["text"]

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        """Return the probability that a sentence ends right after the last message's text."""
        reply = await _only(self._worker, _asked("end", messages, session))
        return float(reply.item["probability"])


class WorkerTurn:
    """How the user's voice sounds at a pause, judged in a worker."""

    def __init__(self, worker: Supervisor) -> None:
        self._worker = worker

    async def judge(self, pcm: Pcm) -> VoiceEnd:
        """Return how the voice ended."""
        reply = await _only(self._worker, {"op": "judge"}, pcm.tobytes())
        return VoiceEnd(**reply.item)


class WorkerTts:
    """Clauses to speech in a worker."""

    def __init__(self, worker: Supervisor) -> None:
        self._worker = worker

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        """Yield the clause's audio as it is made."""
        header = {"op": "synthesize", "text": text, "first": first}
        async with contextlib.aclosing(self._worker.request(header)) as replies:
            async for reply in replies:
                yield Speech(np.frombuffer(reply.payload, np.int16), tuple(reply.item["word_ends"]))


async def _only(worker: Supervisor, header: Header, payload: bytes = b"") -> Reply:
    async with contextlib.aclosing(worker.request(header, payload)) as replies:
        answers = [reply async for reply in replies]  # to the end, so that leaving does not count as a cancel
    if not answers:
        raise EngineError("the worker gave no answer.")
    return answers[0]


def _asked(op: str, messages: tuple[Message, ...], session: str) -> Header:
    return {"op": op, "session": session, "messages": [[message.role, message.content] for message in messages]}
