"""What a revision reports for the user having finished, and what when the models can't say."""

from __future__ import annotations

import asyncio

import pytest

from tests.pipeline.revision_scene import Engines, Scene, on_scene
from tests.virtual_conversation import CLOCK
from voicebot.audio import Pcm
from voicebot.engines.protocols import VoiceEnd
from voicebot.pipeline.weigh import unfinished
from voicebot.turn.endpoint import Evidence, Voice
from voicebot.turn.table import TurnEvent


class Replying(Engines):
    """Their reply begins as soon as asked for."""

    reply_s = 1.0

    async def _work(self, stage: str) -> None:
        await CLOCK.sleep_s(self.reply_s if stage == "slm" else 1)


@pytest.mark.parametrize(("reply_s", "known_s"), [(0.05, 2.05), (1.0, 2.1)])
def test_the_voice_is_judged_when_the_reply_has_begun_but_does_not_wait_for_it_for_long(
    reply_s: float, known_s: float
) -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        await CLOCK.sleep_s(10)
        evidence = Evidence("Hello.", 0.5, -0.1, 0.8, Voice(0.25, -1.0, -10.0, 0.9))
        assert [(found, round(at_s, 6)) for found, at_s in scene.evidence] == [(evidence, known_s)]
        scene.revision.cancel()

    engines = Replying()
    engines.reply_s = reply_s
    on_scene(script, engines, voice=True)
    assert engines.calls[:3] == ["asr", "slm", "turn"]


@pytest.mark.parametrize(("voice", "fails"), [(False, ""), (True, "turn")])
def test_without_a_voice_model_or_when_it_fails_the_text_is_the_evidence(voice: bool, fails: str) -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        await CLOCK.sleep_s(10)
        assert [evidence for evidence, _ in scene.evidence] == [Evidence("Hello.", 0.5, -0.1, 0.8, None)]
        scene.revision.commit()

    scene = on_scene(script, Engines(fails=fails), voice=voice)
    assert scene.revision.error is None
    assert scene.revision.reply.heard == "First clause. Second clause."


@pytest.mark.parametrize("fails", ["asr", "text", "slm", "tts"])
def test_when_the_work_has_failed_what_is_known_is_the_words_alone(fails: str) -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        await CLOCK.sleep_s(10)
        assert scene.evidence[-1][0] == Evidence("" if fails == "asr" else "Hello.")
        assert scene.evidence[-1][0].text_end is None
        assert scene.reports == []
        scene.revision.cancel()

    on_scene(script, Engines(fails=fails), voice=True)


def test_once_it_is_committed_nothing_is_weighed_any_more() -> None:
    """And a voice model that never answers does not hold up the end of the reply."""

    class Stuck(Engines):
        async def judge(self, pcm: Pcm) -> VoiceEnd:
            self._begin("turn")
            try:
                await CLOCK.sleep_s(1000)
            finally:
                self.ended.append("turn")
            raise AssertionError(pcm)

    for commit_s, asked in ((0.5, 0), (1.5, 1)):

        async def script(scene: Scene, group: asyncio.TaskGroup, commit_s: float = commit_s) -> None:
            scene.revision.start(group)
            await CLOCK.sleep_s(commit_s)
            scene.revision.commit()

        scene = on_scene(script, engines := Stuck(), voice=True)
        assert engines.calls.count("turn") == engines.weighed == asked
        assert engines.running == []
        assert scene.evidence == []
        assert [event for event, _ in scene.reports] == [TurnEvent.REPLY_AUDIBLE, TurnEvent.REPLY_ENDED]


@pytest.mark.parametrize(
    ("text", "open_text"),
    [
        ("What is the capital of.", "What is the capital of"),
        ("Really?!", "Really"),
        ("Set a timer for…", "Set a timer for"),
        ("It costs 3.50", "It costs 3.50"),
        ("Well, ", "Well,"),
    ],
)
def test_the_model_is_asked_about_words_that_could_go_on(text: str, open_text: str) -> None:
    assert unfinished(text) == open_text
