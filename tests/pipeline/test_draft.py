"""What was prepared for a revision is put down and taken up, and nothing of it is asked for twice."""

from __future__ import annotations

IMPORTS


def test_what_was_prepared_for_the_same_words_is_taken_up() -> None:
    """The first revision is dropped after its first clause; the second asks only for what is missing."""
    engines = Engines()

    async def main() -> tuple[Scene, Draft]:
        first = Scene(engines)
        async with asyncio.TaskGroup() as group:
            first.revision.start(group)
            await CLOCK.sleep_s(3.1)
            assert engines.calls == ["asr", "slm", "tts"]
            draft = first.revision.drop()
        assert draft is not None
        assert first.ledger.wasted_cpu_s == 1.0  # the recognition of words that were said before more was said
        second = Scene(engines, draft=draft)
        speaking = asyncio.create_task(second.speaker())
        async with asyncio.TaskGroup() as group:
            second.revision.start(group)
            second.revision.commit()
        speaking.cancel()
        return second, draft

    second, draft = run_virtual(main())
    assert engines.calls == ["asr", "slm", "tts", "asr", "slm", "tts"]
    assert engines.begun == ["", "First clause. "]
    assert engines.weighed == 1
    assert second.revision.draft is draft
    assert second.revision.reply.heard == "First clause. Second clause."


def test_what_was_prepared_for_other_words_is_thrown_away() -> None:
    engines = Engines()

    async def main() -> tuple[Scene, Scene]:
        first = Scene(engines)
        async with asyncio.TaskGroup() as group:
            first.revision.start(group)
            await CLOCK.sleep_s(10)
            draft = first.revision.drop()
        engines.text = "Hello you."
        second = Scene(engines, draft=draft)
        speaking = asyncio.create_task(second.speaker())
        async with asyncio.TaskGroup() as group:
            second.revision.start(group)
            second.revision.commit()
        speaking.cancel()
        return first, second

    first, second = run_virtual(main())
    assert engines.calls == ["asr", "slm", "tts", "tts"] * 2
    assert engines.begun == ["", ""]
    assert first.ledger.wasted_cpu_s == first.ledger.cpu_s == 4.0
    assert (second.ledger.cpu_s, second.ledger.wasted_cpu_s) == (4.0, 0.0)


def test_a_revision_that_is_dropped_before_its_words_are_known_hands_on_what_it_was_handed() -> None:
    async def script(scene: Scene, group: asyncio.TaskGroup) -> None:
        scene.revision.start(group)
        await CLOCK.sleep_s(0.5)
        assert scene.revision.drop() is draft

    engines = Engines()
    draft = Draft(engines, engines, "Hello.", Work(WorkLedger()))
    on_scene(script, engines, draft=draft)
