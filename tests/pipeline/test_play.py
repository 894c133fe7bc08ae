"""The player, on a speaker that plays 20 ms at a time in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from voicebot.audio import FRAME_MS, FRAME_SAMPLES, Pcm, samples_from_ms
from voicebot.audio_io.playback import PlaybackBuffer, Played
from voicebot.clock import LoopClock, run_virtual
from voicebot.pipeline.channel import Channel
from voicebot.pipeline.play import Player
from voicebot.pipeline.speak import ClauseAudio

AHEAD = samples_from_ms(200)
CLOCK = LoopClock()


@dataclass
class Speaker:
    """Pulls a block from the buffer every 20 ms and keeps what it played and how much was queued before."""

    playback: PlaybackBuffer = field(default_factory=PlaybackBuffer)
    blocks: list[Pcm] = field(default_factory=list)
    queued: list[int] = field(default_factory=list)

    async def run(self) -> None:
        while True:
            self.queued.append(self.playback.queued_samples)
            self.blocks.append(self.playback.pull(len(self.blocks) * FRAME_SAMPLES, FRAME_SAMPLES))
            await CLOCK.sleep_s(FRAME_MS / 1000)

    @property
    def played(self) -> Pcm:
        return np.concatenate(self.blocks)


@dataclass
class Stage:
    """A player on a speaker, its channel, and what it reported."""

    speaker: Speaker = field(default_factory=Speaker)
    audio: Channel[ClauseAudio] = field(default_factory=lambda: Channel[ClauseAudio](100))
    committed: asyncio.Event = field(default_factory=asyncio.Event)
    reports: list[tuple[int, Played]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.player = Player(
            self.speaker.playback, "reply", lambda clause, played: self.reports.append((clause, played))
        )

    async def give(self, *clauses_ms: int) -> None:
        """Send clauses of a steady level and close the channel."""
        for number, duration_ms in enumerate(clauses_ms):
            await self.audio.send(ClauseAudio(number, steady(duration_ms)))
        await self.audio.close()

    def play(self) -> Coroutine[Any, Any, None]:
        return self.player.play(self.audio, self.committed, AHEAD)

    @property
    def heard_by_clause(self) -> dict[int, int]:
        heard: dict[int, int] = {}
        for clause, stretch in self.reports:
            heard[clause] = heard.get(clause, 0) + stretch.samples
        return heard


def steady(duration_ms: int) -> Pcm:
    return np.full(samples_from_ms(duration_ms), 10_000, np.int16)


def on_stage(script: Callable[[Stage], Coroutine[Any, Any, None]]) -> Stage:
    """Run a script in virtual time while the speaker plays."""

    async def main() -> Stage:
        stage = Stage()
        speaking = asyncio.create_task(stage.speaker.run())
        async with asyncio.timeout(60):
            await script(stage)
        speaking.cancel()
        return stage

    return run_virtual(main())


def test_nothing_is_played_before_the_commit_and_everything_after_it() -> None:
    async def script(stage: Stage) -> None:
        await stage.give(100, 60)
        playing = asyncio.create_task(stage.play())
        await CLOCK.sleep_s(0.5)
        assert not stage.speaker.played.any()
        stage.committed.set()
        await playing

    stage = on_stage(script)
    np.testing.assert_array_equal(np.trim_zeros(stage.speaker.played), steady(160))
    assert stage.heard_by_clause == {0: samples_from_ms(100), 1: samples_from_ms(60)}


def test_it_ends_when_the_last_sample_was_played() -> None:
    async def script(stage: Stage) -> None:
        stage.committed.set()
        await stage.give(1000)
        begun_s = CLOCK.now_s()
        await stage.play()
        assert CLOCK.now_s() - begun_s == pytest.approx(1.0, abs=FRAME_MS / 1000)
        assert stage.speaker.playback.queued_samples == 0

    on_stage(script)


def test_an_empty_reply_ends_at_once() -> None:
    async def script(stage: Stage) -> None:
        stage.committed.set()
        await stage.give()
        await stage.play()
        assert CLOCK.now_s() < FRAME_MS / 1000

    assert on_stage(script).reports == []


def test_no_piece_is_queued_further_ahead_than_allowed() -> None:
    async def script(stage: Stage) -> None:
        stage.committed.set()
        await stage.give(*[50] * 40)
        await stage.play()

    stage = on_stage(script)
    assert AHEAD < max(stage.speaker.queued) <= AHEAD + samples_from_ms(50)
    assert min(stage.speaker.queued[1:90]) >= AHEAD - FRAME_SAMPLES
    np.testing.assert_array_equal(np.trim_zeros(stage.speaker.played), steady(2000))


def test_a_slow_synthesizer_leaves_a_gap_and_not_an_end() -> None:
    async def script(stage: Stage) -> None:
        stage.committed.set()
        playing = asyncio.create_task(stage.play())
        for number in range(2):
            await CLOCK.sleep_s(1)
            await stage.audio.send(ClauseAudio(number, steady(100)))
        await stage.audio.close()
        await playing

    stage = on_stage(script)
    assert stage.heard_by_clause == {0: samples_from_ms(100), 1: samples_from_ms(100)}
    gap = np.flatnonzero(np.diff((stage.speaker.played != 0).astype(int)))
    assert len(gap) == 3  # sound, gap, sound, and the recording ends


def test_after_a_stop_only_a_fade_of_10_ms_is_heard() -> None:
    stopped_at: list[int] = []

    async def script(stage: Stage) -> None:
        stage.committed.set()
        await stage.give(1000, 1000)
        playing = asyncio.create_task(stage.play())
        await CLOCK.sleep_s(0.51)
        stage.player.stop()
        stopped_at.append(len(stage.speaker.played))
        await CLOCK.sleep_s(0.5)
        assert stage.speaker.playback.queued_samples == 0
        playing.cancel()

    stage = on_stage(script)
    before, after = np.split(stage.speaker.played, stopped_at)
    np.testing.assert_array_equal(np.trim_zeros(before, "f"), steady(500))
    faded = np.trim_zeros(after)
    assert 0 < len(faded) <= samples_from_ms(10)
    assert (np.diff(faded.astype(int)) <= 0).all()


def test_a_stop_of_a_ducked_reply_fades_it_although_the_gain_is_set_back() -> None:
    """As a session does when a reply is interrupted: duck, stop, and full level for the next one."""
    stopped_at: list[int] = []

    async def script(stage: Stage) -> None:
        stage.committed.set()
        await stage.give(1000)
        playing = asyncio.create_task(stage.play())
        await CLOCK.sleep_s(0.2)
        stage.speaker.playback.set_gain(0.35)
        await CLOCK.sleep_s(0.2)
        stage.player.stop()
        stage.speaker.playback.set_gain(1.0)
        stopped_at.append(len(stage.speaker.played))
        await CLOCK.sleep_s(0.2)
        playing.cancel()

    _, after = np.split(on_stage(script).speaker.played, stopped_at)
    assert after.max() <= 3500
    assert not after[samples_from_ms(10) :].any()


def test_a_stop_before_the_commit_plays_nothing_even_when_the_commit_comes() -> None:
    async def script(stage: Stage) -> None:
        await stage.give(500)
        playing = asyncio.create_task(stage.play())
        await CLOCK.sleep_s(0.1)
        stage.player.stop()
        stage.committed.set()
        await playing
        await CLOCK.sleep_s(0.5)

    stage = on_stage(script)
    assert not stage.speaker.played.any()
    assert stage.reports == []


def test_what_arrives_after_a_stop_is_not_played() -> None:
    async def script(stage: Stage) -> None:
        stage.committed.set()
        playing = asyncio.create_task(stage.play())
        await CLOCK.sleep_s(0.1)
        stage.player.stop()
        await stage.give(100, 100)
        await playing
        await CLOCK.sleep_s(0.5)

    assert not on_stage(script).speaker.played.any()


def test_a_second_stop_leaves_the_next_reply_alone() -> None:
    async def script(stage: Stage) -> None:
        stage.player.stop()
        stage.speaker.playback.push("next", steady(100))
        stage.player.stop()
        await CLOCK.sleep_s(0.3)

    np.testing.assert_array_equal(np.trim_zeros(on_stage(script).speaker.played), steady(100))


def test_it_reports_only_its_own_audio() -> None:
    async def script(stage: Stage) -> None:
        stage.committed.set()
        stage.speaker.playback.push(("another", 0), steady(100))
        stage.speaker.playback.push("untagged", steady(100))
        await stage.give(100)
        await stage.play()

    stage = on_stage(script)
    assert stage.heard_by_clause == {0: samples_from_ms(100)}
    assert stage.reports[0][1].start_sample == stage.reports[0][1].audible_sample == samples_from_ms(200)


@pytest.mark.parametrize(
    ("clauses_ms", "closed", "commit"),
    [((100,), False, False), ((), False, True), ((500, 500), False, True), ((100,), True, True)],
    ids=["before the commit", "waiting for audio", "waiting for room", "waiting for the end"],
)
def test_a_cancelled_player_pushes_and_reports_nothing_more(
    clauses_ms: tuple[int, ...], closed: bool, commit: bool
) -> None:
    async def script(stage: Stage) -> None:
        for number, duration_ms in enumerate(clauses_ms):
            await stage.audio.send(ClauseAudio(number, steady(duration_ms)))
        if closed:
            await stage.audio.close()
        if commit:
            stage.committed.set()
        playing = asyncio.create_task(stage.play())
        await CLOCK.sleep_s(0.05)
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await playing
        reported, queued = len(stage.reports), stage.speaker.playback.queued_samples
        stage.committed.set()
        await CLOCK.sleep_s(1)
        assert len(stage.reports) == reported
        assert stage.speaker.played.any() == (queued > 0)
        assert len(np.trim_zeros(stage.speaker.played)) <= samples_from_ms(500)

    on_stage(script)
