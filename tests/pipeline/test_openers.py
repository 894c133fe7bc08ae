"""Phrases that cover a wait: when they are due, and how they are heard before the reply."""

from __future__ import annotations

IMPORTS


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

    @pytest.mark.parametrize("at_s", [0.5, 3.2])
    def test_there_is_none_before_the_words_are_known_or_when_the_reply_has_a_sound(self, at_s: float) -> None:
        scene = self.opened(Engines(), at_s)
        assert "opener" not in scene.revision.marks.samples
        assert sum(stretch.samples for stretch in scene.played) == SAMPLE_RATE_HZ

    @pytest.mark.parametrize("engines", [Engines(text="Stop."), Engines(mean_logprob=-2), Engines(fails="text")])
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
