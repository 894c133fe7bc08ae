"""One revision by itself: silent until it is committed, and gone without a trace when it is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from tests.pipeline.revision_scene import Engines, Scene, on_scene
from tests.virtual_conversation import CLOCK
from voicebot.audio import SAMPLE_RATE_HZ, Pcm, samples_from_ms
from voicebot.engines.protocols import Transcript
from voicebot.events import ReplyAudible, Transcribed
from voicebot.pipeline.recognize import Recognized
from voicebot.turn.endpoint import Evidence
from voicebot.turn.table import TurnEvent


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
    assert scene.events[0] == Transcribed("scene", 3, 2, "Hello.")
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
        async def transcribe(self, pcm: Pcm, *, thorough: bool = True, within_s: float | None = None) -> Transcript:
            await super().transcribe(pcm, thorough=thorough)
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


def test_words_that_are_known_already_are_not_recognised_again() -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        scene.revision.commit()

    scene = on_scene(script, engines := Engines(), said=Recognized("Hello.", -0.3))
    assert engines.calls == ["slm", "tts", "tts"]
    assert scene.revision.text == "Hello."
    assert scene.revision.marks.samples["asr_final"] == 0


def test_a_command_is_answered_with_silence_and_is_surely_the_end() -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        await CLOCK.sleep_s(5)
        assert scene.evidence == [(Evidence("Stop it!", 1.0), 1.0)]
        assert scene.reports == []
        scene.revision.commit()
        await CLOCK.sleep_s(0.1)
        scene.revision.remember(scene.history)

    scene = on_scene(script, engines := Engines(text="Stop it!"), voice=True)
    assert engines.calls == ["asr"]
    assert engines.weighed == 0
    assert scene.reports == [(TurnEvent.REPLY_ENDED, 5.0)]
    assert scene.revision.source == "intent"
    assert scene.history.exchanges == ()


def test_words_that_were_hardly_understood_are_asked_back() -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        scene.revision.commit()

    scene = on_scene(script, engines := Engines(mean_logprob=-1.01))
    assert "slm" not in engines.calls
    assert scene.revision.reply.heard == "Sorry, did you say: Hello?"
    assert scene.revision.source == "intent"
    scene.revision.remember(scene.history)
    assert scene.history.asked_back == "Hello."


@pytest.mark.parametrize("at_s", [3.1, 3.3, 3.6])
def test_a_reply_that_is_held_goes_on_where_it_was(at_s: float) -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        scene.revision.commit()
        await CLOCK.sleep_s(at_s)
        scene.revision.pause()
        held = sum(stretch.samples for stretch in scene.played)
        await CLOCK.sleep_s(5)
        assert sum(stretch.samples for stretch in scene.played) <= held + samples_from_ms(10)
        assert TurnEvent.REPLY_ENDED not in [event for event, _ in scene.reports]
        scene.revision.resume()

    scene = on_scene(script, Engines())
    assert [event for event, _ in scene.reports] == [TurnEvent.REPLY_AUDIBLE, TurnEvent.REPLY_ENDED]
    assert scene.revision.reply.heard == "First clause. Second clause."


def test_an_apology_for_a_reply_that_is_held_is_held_too() -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        scene.revision.commit()
        await CLOCK.sleep_s(3.2)
        scene.revision.pause()
        scene.revision.apologize(group)
        await CLOCK.sleep_s(2)
        assert not any(stretch.tag == ((scene.revision, "apology"), 0) for stretch in scene.played)
        scene.revision.resume()

    scene = on_scene(script, Engines())
    apology = [stretch for stretch in scene.played if stretch.tag == ((scene.revision, "apology"), 0)]
    assert sum(stretch.samples for stretch in apology) == samples_from_ms(800)
    assert [event for event, _ in scene.reports] == [TurnEvent.REPLY_AUDIBLE, TurnEvent.REPLY_ENDED]
