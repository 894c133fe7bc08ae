"""Phrases that cover a wait: when they are due, and how they are heard before the reply."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.pipeline.revision_scene import Engines, Scene, on_scene
from tests.virtual_conversation import CLOCK, Talk, converse, length_ms, settings, stretches, understood, unfinished
from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, ms_from_samples, samples_from_ms
from voicebot.config.pipeline import OpenerSettings
from voicebot.daemon import scripted_stages
from voicebot.engines.scripted import Pace, ScriptedModel, ScriptedRecognizer, hum
from voicebot.events import Interrupted, ReplyAudible
from voicebot.pipeline.openers import Openers
from voicebot.turn.table import State, TurnEvent

PHRASES = [np.full(samples, 1000, np.int16) for samples in (1, 2, 3)]
AFTER = samples_from_ms(650)


def lengths(openers: Openers, turns: range) -> list[int]:
    return [0 if (pcm := openers.due(turn, AFTER)) is None else len(pcm) for turn in turns]


def test_they_are_taken_in_turn_and_never_in_two_turns_on_end() -> None:
    assert lengths(Openers(PHRASES, OpenerSettings()), range(1, 10)) == [1, 0, 2, 0, 3, 0, 1, 0, 2]


def test_one_is_due_once_in_a_turn_and_only_after_a_while() -> None:
    openers = Openers(PHRASES, OpenerSettings())
    assert openers.due(1, AFTER - 1) is None
    assert openers.due(1, AFTER) is PHRASES[0]
    assert openers.due(1, 10 * AFTER) is None


def test_none_is_due_where_there_are_none_or_none_are_wanted() -> None:
    assert Openers([], OpenerSettings()).due(1, 10 * AFTER) is None
    assert Openers(PHRASES, OpenerSettings(enabled=False)).due(1, 10 * AFTER) is None


class TestOpeners:
    OPENER = hum(samples_from_ms(400))

    def opened(self, engines: Engines, at_s: float, **options: Any) -> Scene:
        async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
            scene.revision.start(group)
            scene.revision.commit()
            await CLOCK.sleep_s(at_s)
            scene.revision.cover_wait(lambda: self.OPENER)

        return on_scene(script, engines, **options)

    def test_it_is_heard_before_the_reply_and_is_none_of_it(self) -> None:
        scene = self.opened(Engines(), 1.5)
        marks = scene.revision.marks.samples
        assert marks["opener"] == pytest.approx(1.5 * SAMPLE_RATE_HZ, abs=FRAME_SAMPLES + 20)
        assert marks["audible"] >= 3 * SAMPLE_RATE_HZ
        assert [event for event, _ in scene.reports] == [
            TurnEvent.REPLY_AUDIBLE,
            TurnEvent.REPLY_AUDIBLE,
            TurnEvent.REPLY_ENDED,
        ]
        assert [event.at_sample for event in scene.events if isinstance(event, ReplyAudible)] == [marks["audible"]]
        assert scene.revision.reply.heard == "First clause. Second clause."
        assert sum(stretch.samples for stretch in scene.played) == len(self.OPENER) + SAMPLE_RATE_HZ

    def test_the_reply_waits_until_it_is_over(self) -> None:
        scene = self.opened(Engines(), 2.9)
        marks = scene.revision.marks.samples
        assert marks["audible"] - marks["opener"] == pytest.approx(len(self.OPENER), abs=20)

    @pytest.mark.parametrize("at_s", [0.5, 2.1, 3.2])
    def test_there_is_none_before_the_words_are_known_or_when_the_reply_has_a_sound_or_soon_will(
        self, at_s: float
    ) -> None:
        scene = self.opened(Engines(), at_s)
        assert "opener" not in scene.revision.marks.samples
        assert sum(stretch.samples for stretch in scene.played) == SAMPLE_RATE_HZ

    @pytest.mark.parametrize("engines", [Engines(text="Stop."), Engines(mean_logprob=-2), Engines(fails="asr")])
    def test_there_is_none_where_nobody_thinks(self, engines: Engines) -> None:
        assert "opener" not in self.opened(engines, 1.1).revision.marks.samples

    def test_there_is_none_when_none_is_due(self) -> None:
        async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
            scene.revision.start(group)
            scene.revision.commit()
            await CLOCK.sleep_s(1.5)
            scene.revision.cover_wait(lambda: None)

        assert "opener" not in on_scene(script, Engines()).revision.marks.samples

    def test_when_the_reply_was_prepared_in_time_there_is_none_at_the_commit(self) -> None:
        async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
            scene.revision.start(group)
            await CLOCK.sleep_s(8)
            scene.revision.commit()
            scene.revision.cover_wait(lambda: self.OPENER)

        assert "opener" not in on_scene(script, Engines()).revision.marks.samples


REPLY = "This is the answer. It has two sentences."
OPENER_MS = 500


def late_replies(turns: int, *, slm_ms: float = 2000, over_s: float | None = None, **sections: Any) -> Talk:
    """Ask so many times what takes the model so long to answer, and cough after so long if that is given."""

    async def script(talk: Talk) -> None:
        for _ in range(turns):
            talk.say_ms(1000)
            if over_s is not None:
                await talk.until(State.THINKING)
                await CLOCK.sleep_s(over_s)
                talk.speak("what about Spain")
            await talk.quiet()

    slm = ScriptedModel(lambda _: REPLY, Pace(slm_ms, 5))
    stages = scripted_stages(CLOCK, ScriptedRecognizer(understood), slm)
    stages = replace(stages, openers=(hum(samples_from_ms(OPENER_MS)),))
    return converse(script, settings(**sections), stages=stages)


def test_a_late_reply_is_covered_and_the_next_one_is_not() -> None:
    talk = late_replies(3)
    openers = [turn.marks.get("opener") for turn in talk.turns]
    assert [opener is not None for opener in openers] == [True, False, True]
    for turn, opener in zip(talk.turns, openers, strict=True):
        assert turn.heard == turn.reply == REPLY
        if opener is not None:
            waited_ms = ms_from_samples(opener - turn.speech_end_sample)
            assert 650 <= waited_ms <= 650 + 2 * 20
            assert turn.marks["audible"] - opener > samples_from_ms(OPENER_MS)
    first, *_ = stretches(talk.reply)
    assert length_ms(first) == pytest.approx(OPENER_MS, abs=5)
    assert [exchange.heard for exchange in talk.session.history.exchanges] == [REPLY] * 3


def test_a_reply_in_time_is_not_covered() -> None:
    talk = late_replies(1, slm_ms=50)
    assert "opener" not in talk.turns[0].marks
    assert len(talk.replies) == 1


def test_a_reply_that_was_ready_at_a_late_commit_is_not_covered() -> None:
    async def script(talk: Talk) -> None:
        await talk.ask_ms(1000)

    stages = scripted_stages(CLOCK, slm=unfinished(REPLY))
    talk = converse(script, stages=replace(stages, openers=(hum(8000),)))
    (turn,) = talk.turns
    assert turn.marks["committed"] - turn.speech_end_sample > samples_from_ms(1000)
    assert "opener" not in turn.marks


def test_without_openers_nothing_covers_a_late_reply() -> None:
    talk = late_replies(1, openers={"enabled": False})
    assert "opener" not in talk.turns[0].marks
    assert len(talk.replies) == 1


def test_who_speaks_over_an_opener_interrupts_a_reply_of_which_nothing_was_heard() -> None:
    talk = late_replies(1, over_s=0.8)
    first, second = talk.turns
    assert (first.interrupted, first.heard) == (True, "")
    assert "opener" in first.marks
    assert len(talk.of(Interrupted)) == 1
    assert second.user == "what about spain"
    assert [exchange.heard for exchange in talk.session.history.exchanges] == ["", REPLY]


def test_who_stops_an_opener_has_heard_nothing() -> None:
    async def script(talk: Talk) -> None:
        talk.say_ms(1000)
        await talk.until(State.SPEAKING)
        talk.session.stop()
        await talk.quiet()

    stages = scripted_stages(CLOCK, slm=ScriptedModel(lambda _: REPLY, Pace(2000)))
    talk = converse(script, stages=replace(stages, openers=(hum(8000),)))
    (turn,) = talk.turns
    assert (turn.heard, turn.interrupted) == ("", True)
    assert sum(map(length_ms, talk.replies)) <= 2 * 20 + 10
