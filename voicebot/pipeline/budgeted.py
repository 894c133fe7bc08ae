"""The heavy stages with a watch: each request is timed, its cost learnt, and done as the turn's plan has it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from voicebot.audio import SAMPLE_RATE_HZ, Pcm
from voicebot.clock import Clock
from voicebot.config.pipeline import LadderSettings
from voicebot.engines.protocols import Message, Speech, Transcript
from voicebot.latency.costs import Costs
from voicebot.latency.misses import Cause
from voicebot.latency.plan import LETTERS_PER_TOKEN, Ladders, planned
from voicebot.pipeline.stages import Asr, Slm, Stages, Tts

_TIMED_TOKENS: Final = 12
"""A first clause's. What follows may wait for the voice, and says nothing of the model."""
_UNHINDERED: Final = 1.1
"""A clause took that much longer than its synthesis at most, or it had to wait for playback."""


def budgeted(stages: Stages, costs: Costs, settings: LadderSettings, clock: Clock) -> Stages:
    """Return the same stages with ladders, of which the box has one of each for all its sessions."""
    return replace(
        stages,
        asr=BudgetedAsr(stages.asr, costs, clock),
        slm=BudgetedSlm(stages.slm, costs, clock),
        tts=BudgetedTts(stages.tts, costs, clock),
        ladders=Ladders(costs, settings),
    )


class BudgetedAsr:
    """Speech to text. A larger model or the full window looks at doubtful words only in a turn that has the time."""

    def __init__(self, asr: Asr, costs: Costs, clock: Clock) -> None:
        self._asr = asr
        self._costs = costs
        self._clock = clock

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
        """Return what was said."""
        speech_s, plan = len(pcm) / SAMPLE_RATE_HZ, planned.get()
        if thorough and plan is not None:
            within_s = plan.recognition_s()
        began_s = self._clock.now_s()
        with self._costs.asking("asr") as cause:
            transcript = await self._asr.transcribe(pcm, thorough=thorough, within_s=within_s)
        if plan is not None and (transcript.hurried or transcript.second_model is False):
            plan.rungs["recognition"] = "no full window" if transcript.hurried else "no second model"
        cause = Cause.SECOND_LOOK if transcript.fallback else cause
        _note(self._costs, "asr", speech_s, self._clock.now_s() - began_s, cause)
        return transcript


class BudgetedSlm:
    """Text to reply. What the assistant writes for itself is not measured: it has time, and others come first."""

    def __init__(self, slm: Slm, costs: Costs, clock: Clock) -> None:
        self._slm = slm
        self._costs = costs
        self._clock = clock

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        """Take in a conversation so far; returns how many tokens had to be computed."""
        return await self._slm.prefill(messages, session=session)

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        """Return the probability that a sentence ends right after the last message's text."""
        return await self._slm.end_probability(messages, session=session)

    async def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        """Yield the reply piece by piece; what goes on after `begun` if that is given."""
        stream = self._slm.generate(messages, max_tokens, begun, session=session)
        async with aclosing(stream if "/" in session else self._timed(stream, messages)) as pieces:
            async for piece in pieces:
                yield piece

    async def _timed(
        self, stream: AsyncGenerator[str, None], messages: tuple[Message, ...]
    ) -> AsyncGenerator[str, None]:
        asked = len(messages[-1].content) / LETTERS_PER_TOKEN
        began_s = first_s = last_s = self._clock.now_s()
        came = 0
        async with aclosing(stream):
            with self._costs.asking("slm") as cause:
                async for piece in stream:
                    came += 1
                    if came <= _TIMED_TOKENS:
                        last_s = self._clock.now_s()
                    if came == 1:
                        first_s = last_s
                        _note(self._costs, "slm_read", asked, first_s - began_s, cause)
                    elif came == _TIMED_TOKENS:
                        _note(self._costs, "slm", came - 1, last_s - first_s, cause)
                    yield piece
        if 1 < came < _TIMED_TOKENS:
            _note(self._costs, "slm", came - 1, last_s - first_s, cause)


class BudgetedTts:
    """Clauses to speech."""

    def __init__(self, tts: Tts, costs: Costs, clock: Clock) -> None:
        self._tts = tts
        self._costs = costs
        self._clock = clock

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        """Yield a clause's audio as it is made."""
        began_s = asked_s = self._clock.now_s()
        made_s, heard = 0.0, False
        with self._costs.asking("tts") as cause:
            async with aclosing(self._tts.synthesize(text, first=first)) as stream:
                async for speech in stream:
                    now_s = self._clock.now_s()
                    made_s += now_s - asked_s
                    if first and not heard:
                        _note(self._costs, "tts_first", len(text), now_s - began_s, cause)
                    heard = True
                    yield speech
                    asked_s = self._clock.now_s()
        took_s = self._clock.now_s() - began_s
        if took_s <= _UNHINDERED * made_s:
            self._costs.took("tts", len(text), took_s, cause)


def _note(costs: Costs, stage: str, units: float, seconds: float, cause: Cause | None) -> None:
    spent, plan = costs.took(stage, units, seconds, cause), planned.get()
    if plan is not None:
        plan.spent.append(spent)
