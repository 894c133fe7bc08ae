"""The heavy stages as the pipeline awaits them, served by worker processes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence

import numpy as np

from voicebot.audio import Pcm
from voicebot.engines.protocols import Message, Piece, ReplyPart, Speech, Tool, Transcript, VoiceEnd
from voicebot.errors import EngineError
from voicebot.workers.process import Reply
from voicebot.workers.supervisor import Supervisor
from voicebot.workers.tool_wire import decode_part, encode_tools
from voicebot.workers.wire import Header


class WorkerAsr:
    """Speech to text in a worker."""

    def __init__(self, worker: Supervisor) -> None:
        self._worker = worker

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
        """See pipeline.stages.Asr."""
        header = {"op": "transcribe", "thorough": thorough, "within_s": within_s}
        reply = await _only(self._worker, header, pcm.tobytes())
        return Transcript(**reply.item)


class WorkerSlm:
    """Text to reply in a worker."""

    def __init__(self, worker: Supervisor, within_s: float = 0.3) -> None:
        """`within_s`: how soon an answer, or its first token, is wanted.

        A prefill has time, and so has a session called "somebody's/something": what the assistant writes for itself.
        """
        self._worker = worker
        self._within_s = within_s

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        """Take in a conversation so far; returns how many tokens had to be computed."""
        reply = await _only(self._worker, _asked("prefill", messages, session, None))
        return int(reply.item["computed"])

    async def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        """Yield the reply piece by piece; what goes on after `begun` if that is given."""
        async with contextlib.aclosing(self.pieces(messages, max_tokens, begun, session=session)) as pieces:
            async for piece in pieces:
                yield piece.text

    async def pieces(
        self,
        messages: tuple[Message, ...],
        max_tokens: int,
        begun: str = "",
        *,
        session: str = "",
        confidence: bool = False,
    ) -> AsyncGenerator[Piece, None]:
        """Yield the same, with each piece's log-probability if `confidence` is wanted."""
        header = {**_asked("generate", messages, session, self._within_s), "max_tokens": max_tokens, "begun": begun}
        header["confidence"] = confidence
        async with contextlib.aclosing(self._worker.request(header)) as replies:
            async for reply in replies:
                yield Piece(reply.item["text"], reply.item.get("logprob"))

    async def parts(
        self,
        messages: tuple[Message, ...],
        max_tokens: int,
        tools: Sequence[Tool],
        *,
        session: str = "",
        must_call: bool = False,
    ) -> AsyncGenerator[ReplyPart, None]:
        """Yield a reply that may call tools: text as it comes, and each call when it is complete.

        `must_call`: the reply is calls and nothing else.
        """
        header = {**_asked("generate", messages, session, self._within_s), "max_tokens": max_tokens}
        header |= {"tools": encode_tools(tools), "must_call": must_call}
        async with contextlib.aclosing(self._worker.request(header)) as replies:
            async for reply in replies:
                yield decode_part(reply.item)

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        """Return the probability that a sentence ends right after the last message's text."""
        reply = await _only(self._worker, _asked("end", messages, session, self._within_s))
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


def _asked(op: str, messages: tuple[Message, ...], session: str, within_s: float | None) -> Header:
    own = "/" in session  # what the assistant writes for itself
    plain = [[message.role, message.content] for message in messages]
    wanted = {"within_s": None if own else within_s, "spoken": not own}
    return {"op": op, "session": session, **wanted, "messages": plain}
