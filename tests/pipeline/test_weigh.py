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


def test_the_evidence_is_of_the_text_and_the_voice_and_comes_when_both_are_known() -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        await CLOCK.sleep_s(10)
        assert scene.evidence == [(Evidence("Hello.", 0.5, -0.1, 0.8, Voice(0.25, -1.0, -10.0, 0.9)), 2.0)]
        scene.revision.cancel()

    on_scene(script, engines := Engines(), voice=True)
    assert sorted(engines.calls[:3]) == ["asr", "slm", "turn"]


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
