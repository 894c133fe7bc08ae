"""Stages whose work stands back while a reply is on its way, for boxes with too few cores to give each stage its own.

On its way is a reply from its final recognition to the first audio of its first clause. Partial results, what the
language model takes in ahead of time and what it writes for itself wait for that, or give way to it; a later clause
waits only as long as what is played before it lasts.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final
from weakref import WeakKeyDictionary

from voicebot.audio import SAMPLE_RATE_HZ, Pcm
from voicebot.clock import Clock
from voicebot.engines.protocols import Message, Speech, Transcript
from voicebot.latency.work import Work, charged_to
from voicebot.pipeline.shared_cores import LONGEST_WAIT_S, SharedCores, Urgency
from voicebot.pipeline.stages import Asr, Slm, Stages, Tts

_SPARE_S: Final = 1.0
"""So much audio must be left when a later clause is begun; its first sound takes a fraction of that."""


def with_lease(stages: Stages, cores: SharedCores, clock: Clock) -> Stages:
    """Return the stages, sharing the cores."""
    replies: Replies = WeakKeyDictionary()
    return replace(
        stages,
        asr=LeasedAsr(stages.asr, cores),
        slm=LeasedSlm(stages.slm, cores, replies),
        tts=LeasedTts(stages.tts, cores, replies, clock),
    )


def _nothing() -> None:
    return


@dataclass(slots=True)
class Reply:
    """One that is being made."""

    text_is_there: Callable[[], None] = _nothing
    """Ends the language model's part of the critical path."""
    first_audio_s: float = 0.0
    made_s: float = 0.0
    """How long the audio is that has been made so far."""


Replies = WeakKeyDictionary[Work, Reply]
"""By what their work is charged to, which the text and the speech of a reply have in common."""


class LeasedAsr:
    """Speech to text: what is said so far stands back, all that was said does not."""

    def __init__(self, asr: Asr, cores: SharedCores) -> None:
        self._asr = asr
        self._cores = cores

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
        """Return what was said. `thorough`: it is final."""
        if not thorough:
            return await self._cores.stand_back(lambda: self._asr.transcribe(pcm, thorough=False), Urgency.AHEAD)
        end = self._cores.begin_critical()
        try:
            return await self._asr.transcribe(pcm, within_s=within_s)
        finally:
            end()


class LeasedSlm:
    """Text to reply: a reply up to its first clause does not stand back."""

    def __init__(self, slm: Slm, cores: SharedCores, replies: Replies) -> None:
        self._slm = slm
        self._cores = cores
        self._replies = replies

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        """Take in a conversation so far; returns how many tokens had to be computed."""
        return await self._cores.stand_back(lambda: self._slm.prefill(messages, session=session), Urgency.BACKGROUND)

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        """Return the probability that a sentence ends right after the last message's text."""
        end = self._cores.begin_critical()
        try:
            return await self._slm.end_probability(messages, session=session)
        finally:
            end()

    def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        """Yield the reply piece by piece; what goes on after `begun` if that is given."""
        own = "/" in session  # what the assistant writes for itself
        return (self._in_background if own else self._reply)(messages, max_tokens, begun, session)

    async def _reply(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str, session: str
    ) -> AsyncGenerator[str, None]:
        end = self._cores.begin_critical()
        try:
            work = charged_to.get()
            if work is not None:
                self._replies.setdefault(work, Reply()).text_is_there = end
            async with aclosing(self._slm.generate(messages, max_tokens, begun, session=session)) as stream:
                async for piece in stream:
                    yield piece
        finally:
            end()

    async def _in_background(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str, session: str
    ) -> AsyncGenerator[str, None]:
        """Yield the same, and whenever others need the cores go on later from there."""
        left, goes_on = max_tokens, True
        while goes_on and left:
            goes_on = False
            holder = await self._cores.wait(Urgency.BACKGROUND)
            try:
                async with aclosing(self._slm.generate(messages, left, begun, session=session)) as stream:
                    async for piece in stream:
                        left, begun = left - 1, begun + piece
                        yield piece
                        if goes_on := self._cores.should_yield(holder):
                            break
            finally:
                self._cores.leave(holder)


class LeasedTts:
    """Clauses to speech: the first audio of the first clause does not stand back."""

    def __init__(self, tts: Tts, cores: SharedCores, replies: Replies, clock: Clock) -> None:
        self._tts = tts
        self._cores = cores
        self._replies = replies
        self._clock = clock

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        """Yield a clause's audio as it is made."""
        work = charged_to.get()
        reply = Reply() if work is None else self._replies.setdefault(work, Reply())
        if not first:
            self._cores.leave(await self._cores.wait(Urgency.AHEAD, self._may_wait_s(reply)))
        end = self._cores.begin_critical() if first else _nothing
        reply.text_is_there()
        try:
            async with aclosing(self._tts.synthesize(text, first=first)) as stream:
                async for speech in stream:
                    end()
                    if reply.made_s == 0:
                        reply.first_audio_s = self._clock.now_s()
                    reply.made_s += len(speech.pcm) / SAMPLE_RATE_HZ
                    yield speech
        finally:
            end()

    def _may_wait_s(self, reply: Reply) -> float:
        """Return how long a later clause may wait: nobody can have heard more than has passed since the first audio."""
        ahead_s = reply.made_s - (self._clock.now_s() - reply.first_audio_s)
        return max(0.0, min(ahead_s - _SPARE_S, LONGEST_WAIT_S[Urgency.BACKGROUND]))
