"""One revision by itself, on a speaker in virtual time, with stages that take a second for each result."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from tests.virtual_conversation import CLOCK, settings, tasks_left
from voicebot.assistant.history import History
from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm, samples_from_ms
from voicebot.audio_io.playback import PlaybackBuffer, Played
from voicebot.clock import run_virtual
from voicebot.engines.protocols import Message, Speech, Transcript, VoiceEnd
from voicebot.engines.scripted import LoudnessDetector, hum
from voicebot.errors import EngineError
from voicebot.events import Event
from voicebot.latency.work import WorkLedger, charged_to
from voicebot.pipeline.draft import Draft
from voicebot.pipeline.recognize import Recognized
from voicebot.pipeline.revision import Revision, Surroundings
from voicebot.pipeline.rules import barge_in_rules
from voicebot.pipeline.stages import Stages
from voicebot.turn.endpoint import Evidence
from voicebot.turn.table import TurnEvent

QUESTION = hum(SAMPLE_RATE_HZ)


@dataclass
class Engines:
    """All stages: each takes a second for each result, and notes how it was begun and ended."""

    fails: str = ""
    text: str = "Hello."
    mean_logprob: float = -0.1
    weighed: int = 0
    begun: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
        assert thorough
        self._begin("asr")
        try:
            await self._work("asr")
            return Transcript(self.text, self.mean_logprob, 0.0, len(pcm) / SAMPLE_RATE_HZ, fallback=False)
        finally:
            self.ended.append("asr")

    async def prefill(self, messages: tuple[Message, ...], *, session: str = "") -> int:
        raise AssertionError(messages)

    async def end_probability(self, messages: tuple[Message, ...], *, session: str = "") -> float:
        assert messages[-1] == Message("user", self.text.rstrip(" .?!"))
        self.weighed += 1
        if self.fails == "text":
            raise EngineError("the text failed.")
        return 0.5

    async def judge(self, pcm: Pcm) -> VoiceEnd:
        assert pcm is QUESTION
        self._begin("turn")
        try:
            await self._work("turn")
            return VoiceEnd(0.25, -1.0, -10.0, 0.9)
        finally:
            self.ended.append("turn")

    async def generate(
        self, messages: tuple[Message, ...], max_tokens: int, begun: str = "", *, session: str = ""
    ) -> AsyncGenerator[str, None]:
        assert max_tokens == 60 - (begun != "")
        self.begun.append(begun)
        assert messages[-1] == Message("user", self.text)
        self._begin("slm")
        try:
            for text in ("First clause. ", "Second clause. ")[begun != "" :]:
                await self._work("slm")
                yield text
        finally:
            self.ended.append("slm")

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Speech, None]:
        del text, first
        self._begin("tts")
        try:
            await self._work("tts")
            yield Speech(hum(SAMPLE_RATE_HZ // 2))
        finally:
            self.ended.append("tts")

    @property
    def running(self) -> list[str]:
        return sorted((Counter(self.calls) - Counter(self.ended)).elements())

    def _begin(self, stage: str) -> None:
        work = charged_to.get()
        assert work is not None
        work.charge(1.0, cancelled=False)
        self.calls.append(stage)

    async def _work(self, stage: str) -> None:
        await CLOCK.sleep_s(1)
        if stage == self.fails:
            raise EngineError(f"the {stage} failed.")


class Scene:
    """A revision, a speaker, and everything that they reported."""

    def __init__(
        self, engines: Engines, *, voice: bool = False, said: Recognized | None = None, draft: Draft | None = None
    ) -> None:
        self.playback = PlaybackBuffer()
        self.played: list[Played] = []
        self.playback.subscribe(self.played.extend)
        self.events: list[Event] = []
        self.reports: list[tuple[TurnEvent, float]] = []
        self.evidence: list[tuple[Evidence, float]] = []
        self.history = History("Be brief.")
        self.ledger = WorkLedger()
        apology = hum(samples_from_ms(800))
        stages = Stages(engines, engines, engines, LoudnessDetector, LoudnessDetector, apology)
        stages = replace(stages, turn=engines if voice else None)
        self.around = Surroundings(
            "scene",
            stages,
            settings(),
            self.history,
            barge_in_rules(settings().barge_in),
            self.playback,
            self.ledger,
            self.now_sample,
            self.events.append,
            self._report,
            self._report_evidence,
        )
        self.revision = Revision(self.around, 3, 2, QUESTION, 0.8, said=said, draft=draft)

    def now_sample(self) -> int:
        return round(CLOCK.now_s() * SAMPLE_RATE_HZ)

    def _report(self, revision: Revision, event: TurnEvent) -> None:
        assert revision is self.revision
        self.reports.append((event, round(CLOCK.now_s(), 2)))

    def _report_evidence(self, revision: Revision, evidence: Evidence) -> None:
        assert revision is self.revision
        self.evidence.append((evidence, round(CLOCK.now_s(), 2)))

    async def speaker(self) -> None:
        for block in range(10**6):
            self.playback.pull(block * FRAME_SAMPLES, FRAME_SAMPLES)
            await CLOCK.sleep_s(0.02)


def on_scene(
    script: Callable[[Scene, asyncio.TaskGroup], Coroutine[Any, Any, None]], engines: Engines, **options: Any
) -> Scene:
    """Run a script in virtual time while the speaker plays; afterwards no task is left."""

    async def main() -> Scene:
        scene = Scene(engines, **options)
        speaking = asyncio.create_task(scene.speaker())
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            await script(scene, group)
        speaking.cancel()
        await asyncio.wait([speaking])
        assert tasks_left() == set()
        return scene

    return run_virtual(main())
