"""A reply that is held and goes on, sample by sample; and what is played before it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tests.pipeline.test_play import CLOCK, Stage, on_stage, steady
from voicebot.audio import FRAME_MS, Pcm, samples_from_ms
from voicebot.pipeline.play import OPENER
from voicebot.pipeline.speak import ClauseAudio

FADE = samples_from_ms(10)


def ramp(start: int, pieces: int = 1, piece_ms: int = 100) -> list[Pcm]:
    """Return audio in which every sample says its place."""
    size = samples_from_ms(piece_ms)
    whole = np.arange(start, start + pieces * size, dtype=np.int32)
    return [part.astype(np.int16) for part in np.split(whole, pieces)]


async def begin(stage: Stage, *clauses: list[Pcm]) -> asyncio.Task[None]:
    stage.committed.set()
    for number, pieces in enumerate(clauses):
        for pcm in pieces:
            await stage.audio.send(ClauseAudio(number, pcm))
    await stage.audio.close()
    return asyncio.create_task(stage.play())


def parts(played: Pcm) -> list[Pcm]:
    """Return what was played, cut where it was silent for 20 ms."""
    loud = np.flatnonzero(played)
    cuts = np.flatnonzero(np.diff(loud) > samples_from_ms(20)) + 1
    return [played[part[0] : part[-1] + 1] for part in np.split(loud, cuts)]


@pytest.mark.parametrize("pieces", [1, 10])
def test_it_goes_on_at_the_sample_that_it_is_told(pieces: int) -> None:
    """After a fade of 10 ms, with one of 10 ms, whatever pieces it came in."""
    begun, goes_on = 5000, 5000 + samples_from_ms(150)

    async def script(stage: Stage) -> None:
        playing = await begin(stage, ramp(begun, pieces, 1000 // pieces))
        await CLOCK.sleep_s(0.31)
        stage.player.pause()
        assert stage.player.paused
        await CLOCK.sleep_s(1)
        assert not playing.done()
        stage.player.resume(0, goes_on - begun)
        assert not stage.player.paused
        await playing

    before, after = parts(on_stage(script).speaker.played)
    held = len(before) - FADE + 1  # the last sample of the fade is 0
    np.testing.assert_array_equal(before[:held], np.arange(begun, begun + held))
    faded = np.arange(begun + held, begun + held + FADE - 1) * np.linspace(1, 0, FADE)[: FADE - 1]
    np.testing.assert_allclose(before[held:], faded, atol=1.5)
    wanted = np.arange(goes_on, begun + samples_from_ms(1000)).astype(float)
    wanted[:FADE] *= np.linspace(0, 1, FADE)
    np.testing.assert_allclose(after, wanted[1:], atol=1.5)  # the first sample of the fade is 0


def test_it_goes_on_through_the_clauses_that_were_waiting() -> None:
    async def script(stage: Stage) -> None:
        playing = await begin(stage, [steady(300)], [steady(300)], [steady(300)])
        await CLOCK.sleep_s(0.4)
        stage.player.pause()
        await CLOCK.sleep_s(1)
        stage.player.resume(1, 0)
        await playing

    stage = on_stage(script)
    before, after = parts(stage.speaker.played)
    assert len(before) == pytest.approx(samples_from_ms(400), abs=samples_from_ms(2 * FRAME_MS))
    assert len(after) == pytest.approx(samples_from_ms(600), abs=2)
    assert stage.heard_by_clause[2] == samples_from_ms(300)


def test_what_comes_while_it_is_held_is_played_after_it_goes_on() -> None:
    async def script(stage: Stage) -> None:
        stage.committed.set()
        playing = asyncio.create_task(stage.play())
        await stage.audio.send(ClauseAudio(0, steady(200)))
        await CLOCK.sleep_s(0.1)
        stage.player.pause()
        await stage.audio.send(ClauseAudio(1, steady(200)))
        await stage.audio.close()
        await CLOCK.sleep_s(1)
        assert stage.speaker.playback.queued_samples == 0
        stage.player.resume(0, 0)
        await playing

    stage = on_stage(script)
    assert len(parts(stage.speaker.played)[1]) == pytest.approx(samples_from_ms(400), abs=2)


def test_one_that_is_held_after_its_last_sample_ends_when_it_goes_on() -> None:
    async def script(stage: Stage) -> None:
        playing = await begin(stage, [steady(200)])
        await CLOCK.sleep_s(0.19)
        stage.player.pause()
        await CLOCK.sleep_s(1)
        assert not playing.done()
        stage.player.resume(1, 0)
        await playing

    assert len(parts(on_stage(script).speaker.played)) == 1


def test_one_that_is_held_twice_goes_on_twice() -> None:
    async def script(stage: Stage) -> None:
        playing = await begin(stage, [steady(500)])
        for sample in (1000, 3000):
            await CLOCK.sleep_s(0.1)
            stage.player.pause()
            await CLOCK.sleep_s(0.5)
            stage.player.resume(0, sample)
        await playing

    played = parts(on_stage(script).speaker.played)
    assert len(played) == 3
    assert len(played[-1]) == pytest.approx(samples_from_ms(500) - 3000, abs=2)


def test_one_that_is_held_can_be_stopped() -> None:
    async def script(stage: Stage) -> None:
        playing = await begin(stage, [steady(500)], [steady(500)])
        await CLOCK.sleep_s(0.1)
        stage.player.pause()
        await CLOCK.sleep_s(0.1)
        stage.player.stop()
        await playing
        await CLOCK.sleep_s(0.5)

    assert len(parts(on_stage(script).speaker.played)) == 1


def test_an_opener_is_played_before_the_reply_and_reported_as_one() -> None:
    async def script(stage: Stage) -> None:
        stage.committed.set()
        playing = asyncio.create_task(stage.play())
        stage.player.open(steady(100))
        await CLOCK.sleep_s(0.05)
        await stage.give(200)
        await playing

    stage = on_stage(script)
    assert len(np.trim_zeros(stage.speaker.played)) == samples_from_ms(300)
    assert stage.heard_by_clause == {OPENER: samples_from_ms(100), 0: samples_from_ms(200)}


def test_an_opener_is_reported_from_its_first_sample_also_when_nothing_else_has_begun() -> None:
    async def script(stage: Stage) -> None:
        stage.player.open(steady(100))
        await CLOCK.sleep_s(0.3)
        stage.player.stop()

    assert on_stage(script).heard_by_clause == {OPENER: samples_from_ms(100)}


def test_after_a_stop_there_is_no_opener() -> None:
    async def script(stage: Stage) -> None:
        stage.player.stop()
        stage.player.open(steady(100))
        await CLOCK.sleep_s(0.3)

    assert not on_stage(script).speaker.played.any()
