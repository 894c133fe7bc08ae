"""One revision by itself: silent until it is committed, and gone without a trace when it is cancelled."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.virtual_conversation import CLOCK, settings, tasks_left
from voicebot.assistant.history import History
from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm, samples_from_ms
from voicebot.audio_io.playback import PlaybackBuffer, Played
from voicebot.clock import run_virtual
from voicebot.engines.protocols import Message, Transcript
from voicebot.engines.scripted import LoudnessDetector, hum
from voicebot.errors import EngineError
from voicebot.events import Event, ReplyAudible, Transcribed
from voicebot.pipeline.revision import Revision, Surroundings
from voicebot.pipeline.stages import Stages
from voicebot.turn.table import TurnEvent

QUESTION = hum(SAMPLE_RATE_HZ)


@dataclass
class Engines:
    """All three stages: each takes a second for each result, and notes how it was begun and ended."""

    fails: str = ""
    calls: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    async def transcribe(self, pcm: Pcm) -> Transcript:
        self._begin("asr")
        try:
            await self._work("asr")
            return Transcript("Hello", -0.1, 0.0, len(pcm) / SAMPLE_RATE_HZ, fallback=False)
        finally:
            self.ended.append("asr")

    async def prefill(self, messages: tuple[Message, ...]) -> int:
        return len(messages)

    async def generate(self, messages: tuple[Message, ...], max_tokens: int) -> AsyncGenerator[str, None]:
        del messages, max_tokens
        self._begin("slm")
        try:
            for text in ("First clause. ", "Second clause. "):
                await self._work("slm")
                yield text
        finally:
            self.ended.append("slm")

    async def synthesize(self, text: str, *, first: bool) -> AsyncGenerator[Pcm, None]:
        del text, first
        self._begin("tts")
        try:
            await self._work("tts")
            yield hum(SAMPLE_RATE_HZ // 2)
        finally:
            self.ended.append("tts")

    @property
    def running(self) -> list[str]:
        return sorted((Counter(self.calls) - Counter(self.ended)).elements())

    def _begin(self, stage: str) -> None:
        self.calls.append(stage)

    async def _work(self, stage: str) -> None:
        await CLOCK.sleep_s(1)
        if stage == self.fails:
            raise EngineError(f"the {stage} failed.")


class Scene:
    """A revision, a speaker, and everything that they reported."""

    def __init__(self, engines: Engines) -> None:
        self.playback = PlaybackBuffer()
        self.played: list[Played] = []
        self.playback.subscribe(self.played.extend)
        self.events: list[Event] = []
        self.reports: list[tuple[TurnEvent, float]] = []
        self.history = History("Be brief.")
        stages = Stages(engines, engines, engines, LoudnessDetector, LoudnessDetector, hum(samples_from_ms(800)))
        around = Surroundings(
            "scene", stages, settings(), self.history, self.playback, self.now_sample, self.events.append
        )
        self.revision = Revision(around, 3, 2, QUESTION, self._report)

    def now_sample(self) -> int:
        return round(CLOCK.now_s() * SAMPLE_RATE_HZ)

    def _report(self, revision: Revision, event: TurnEvent) -> None:
        assert revision is self.revision
        self.reports.append((event, round(CLOCK.now_s(), 2)))

    async def speaker(self) -> None:
        for block in range(10**6):
            self.playback.pull(block * FRAME_SAMPLES, FRAME_SAMPLES)
            await CLOCK.sleep_s(0.02)


def on_scene(script: Callable[[Scene, asyncio.TaskGroup], Coroutine[Any, Any, None]], engines: Engines) -> Scene:
    """Run a script in virtual time while the speaker plays; afterwards no task is left."""

    async def main() -> Scene:
        scene = Scene(engines)
        speaking = asyncio.create_task(scene.speaker())
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            await script(scene, group)
        speaking.cancel()
        await asyncio.wait([speaking])
        assert tasks_left() == set()
        return scene

    return run_virtual(main())


def test_it_works_ahead_but_is_silent_until_it_is_committed() -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        await CLOCK.sleep_s(10)
        assert scene.played == []
        assert scene.reports == []
        assert scene.history.exchanges == ()
        scene.revision.commit()

    scene = on_scene(script, engines := Engines())
    assert engines.calls == ["asr", "slm", "tts", "tts"]
    assert engines.running == []
    assert scene.events[0] == Transcribed("scene", 3, 2, "Hello")
    assert [event for event, _ in scene.reports] == [TurnEvent.REPLY_AUDIBLE, TurnEvent.REPLY_ENDED]
    assert [at_s for _, at_s in scene.reports] == pytest.approx([10, 11], abs=0.03)
    assert [event.at_sample for event in scene.events if isinstance(event, ReplyAudible)] == [
        scene.revision.marks.samples["audible"]
    ]
    assert scene.revision.reply.heard == scene.revision.reply.text == "First clause. Second clause."
    assert sum(stretch.samples for stretch in scene.played) == SAMPLE_RATE_HZ


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize(
    ("after_s", "running"),
    [(0.5, ["asr"]), (1.5, ["slm"]), (2.5, ["slm", "tts"]), (3.5, ["tts"])],
    ids=["asr", "slm", "slm and tts", "tts and play"],
)
def test_a_cancelled_revision_ends_every_part_of_its_work(after_s: float, running: list[str], committed: bool) -> None:
    engines = Engines()

    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        if committed:
            scene.revision.commit()
        await CLOCK.sleep_s(after_s)
        assert engines.running == running
        heard, reported = len(scene.played), len(scene.reports)
        scene.revision.cancel()
        await CLOCK.sleep_s(5)
        assert engines.running == []
        fading = scene.played[heard:]
        assert sum(stretch.samples for stretch in fading) <= samples_from_ms(10)
        assert len(scene.reports) == reported

    on_scene(script, engines)


@pytest.mark.parametrize("stage", ["asr", "slm", "tts"])
def test_a_failure_is_reported_when_the_revision_is_committed_and_not_before(stage: str) -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        await CLOCK.sleep_s(10)
        assert scene.reports == []
        assert scene.revision.error == f"the {stage} failed."
        scene.revision.commit()
        assert scene.reports == [(TurnEvent.FAILED, 10.0)]

    scene = on_scene(script, engines := Engines(fails=stage))
    assert len(scene.reports) == 1
    assert engines.running == []
    assert scene.played == []


@pytest.mark.parametrize("stage", ["asr", "slm", "tts"])
def test_a_failure_after_the_commit_is_reported_at_once(stage: str) -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        scene.revision.commit()
        await CLOCK.sleep_s(10)

    at_s = {"asr": 1.0, "slm": 2.0, "tts": 3.0}[stage]
    assert on_scene(script, Engines(fails=stage)).reports == [(TurnEvent.FAILED, at_s)]


@pytest.mark.parametrize("stage", ["asr", "slm", "tts"])
def test_a_cancellation_after_or_together_with_a_failure_ends_the_revision(stage: str) -> None:
    """Before Python 3.13 a task group that fails forgets that it was cancelled at the same moment."""
    at_s = {"asr": 1.0, "slm": 2.0, "tts": 3.0}[stage]

    for late_s in (0.0, 0.5):

        async def script(scene: Scene, group: asyncio.TaskGroup, late_s: float = late_s) -> None:
            scene.revision.start(group)
            await CLOCK.sleep_s(at_s + late_s)
            scene.revision.cancel()

        assert on_scene(script, Engines(fails=stage)).reports == []


def test_an_apology_takes_the_place_of_what_is_left_of_the_reply() -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        scene.revision.commit()
        await CLOCK.sleep_s(3.2)
        scene.revision.apologize(group)
        await CLOCK.sleep_s(3)

    scene = on_scene(script, engines := Engines())
    assert engines.running == []
    assert [event for event, _ in scene.reports] == [TurnEvent.REPLY_AUDIBLE, TurnEvent.REPLY_ENDED]
    assert scene.revision.reply.heard == ""
    apology = [stretch for stretch in scene.played if stretch.tag == ((scene.revision, "apology"), 0)]
    assert sum(stretch.samples for stretch in apology) == samples_from_ms(800)
    assert apology[0].start_sample >= max(stretch.start_sample for stretch in scene.played if stretch not in apology)


def test_a_cancelled_apology_ends_within_its_fade() -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        scene.revision.commit()
        await CLOCK.sleep_s(1.5)
        scene.revision.apologize(group)
        await CLOCK.sleep_s(0.3)
        scene.revision.cancel()
        await CLOCK.sleep_s(2)

    scene = on_scene(script, Engines())
    assert [event for event, _ in scene.reports] == [TurnEvent.REPLY_AUDIBLE]
    assert sum(stretch.samples for stretch in scene.played) <= samples_from_ms(300 + 20 + 10)


def test_silence_has_nothing_said() -> None:
    class Deaf(Engines):
        async def transcribe(self, pcm: Pcm) -> Transcript:
            await super().transcribe(pcm)
            return Transcript("", 0.0, 0.9, 5.0, fallback=False)

    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)

    scene = on_scene(script, engines := Deaf())
    assert scene.reports == [(TurnEvent.NOTHING_SAID, 1.0)]
    assert engines.calls == ["asr"]


def test_one_that_never_began_can_be_cancelled() -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.cancel()
        del group

    assert on_scene(script, Engines()).reports == []


def test_one_that_is_cancelled_as_it_begins_asks_no_engine() -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        scene.revision.cancel()

    on_scene(script, engines := Engines())
    assert engines.calls == []
