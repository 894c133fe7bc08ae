"""The replay port in virtual time: where frames, clips and replies lie on the timeline."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from voicebot.audio import FRAME_MS, FRAME_SAMPLES, Frame, Pcm, level_dbfs
from voicebot.audio_io.acoustics import EchoPath, EchoSimulator
from voicebot.audio_io.playback import Played
from voicebot.audio_io.replay import ReplayPort
from voicebot.clock import LoopClock, run_virtual


async def take(port: ReplayPort, frames: int) -> list[Frame]:
    taken = [await port.next_frame() for _ in range(frames)]
    return [frame for frame in taken if frame is not None]


def clip(samples: int, level: int = 8_000) -> Pcm:
    return np.full(samples, level, np.int16)


def join(frames: list[Frame]) -> Pcm:
    return np.concatenate([frame.pcm for frame in frames])


def test_a_frame_comes_when_its_last_sample_was_spoken() -> None:
    async def main() -> list[tuple[int, int, float]]:
        clock = LoopClock()
        moments = []
        async with ReplayPort(clock) as port:
            for _ in range(500):
                frame = (await take(port, 1))[0]
                moments.append((frame.end_sample, port.now_sample(), clock.now_s()))
        return moments

    began_s = time.perf_counter()
    moments = run_virtual(main())
    assert time.perf_counter() - began_s < 5
    for number, (end_sample, now_sample, now_s) in enumerate(moments, 1):
        assert end_sample == number * FRAME_SAMPLES
        assert abs(now_sample - end_sample) <= 1
        assert abs(now_s - number * FRAME_MS / 1000) < 1e-4


def test_a_late_consumer_catches_up() -> None:
    async def main() -> tuple[int, int]:
        async with ReplayPort(LoopClock()) as port:
            await take(port, 1)
            await asyncio.sleep(1.0)
            frames = await take(port, 50)
            return frames[-1].end_sample, port.now_sample()

    end_sample, now_sample = run_virtual(main())
    assert end_sample == 51 * FRAME_SAMPLES
    assert abs(now_sample - end_sample) <= 1


def test_between_clips_there_is_faint_noise() -> None:
    async def main() -> Pcm:
        async with ReplayPort(LoopClock()) as port:
            return join(await take(port, 300))

    assert abs(level_dbfs(run_virtual(main())) + 80) < 1


def test_a_clip_begins_at_the_sample_it_was_given() -> None:
    async def main() -> tuple[int, Pcm]:
        async with ReplayPort(LoopClock(), noise_rms=0.0) as port:
            start = port.say(clip(1000), at_sample=777)
            return start, join(await take(port, 8))

    start, heard = run_virtual(main())
    assert start == 777
    np.testing.assert_array_equal(np.flatnonzero(heard), np.arange(777, 1777))


def test_a_clip_said_now_begins_with_the_next_frame() -> None:
    async def main() -> tuple[int, Pcm]:
        async with ReplayPort(LoopClock(), noise_rms=0.0) as port:
            before = await take(port, 3)
            start = port.say(clip(100), at_sample=5)
            return start, join(before + await take(port, 2))

    start, heard = run_virtual(main())
    assert start == 3 * FRAME_SAMPLES
    np.testing.assert_array_equal(np.flatnonzero(heard), np.arange(start, start + 100))


def test_a_second_clip_waits_for_the_first_unless_it_has_a_moment() -> None:
    async def main() -> tuple[tuple[int, int, int], Pcm]:
        async with ReplayPort(LoopClock(), noise_rms=0.0) as port:
            starts = (port.say(clip(500), at_sample=100), port.say(clip(300, 4_000)), port.say(clip(200, 1_000), 500))
            return starts, join(await take(port, 4))

    starts, heard = run_virtual(main())
    assert starts == (100, 600, 500)
    expected = np.zeros(4 * FRAME_SAMPLES, np.int16)
    expected[100:600], expected[600:900] = 8_000, 4_000
    expected[500:700] += 1_000
    np.testing.assert_array_equal(heard, expected)


def test_noise_is_heard_over_and_over() -> None:
    noise = np.arange(1, 501, dtype=np.int16)

    async def main() -> Pcm:
        async with ReplayPort(LoopClock(), noise_rms=0.0, noise=noise) as port:
            return join(await take(port, 5))

    np.testing.assert_array_equal(run_virtual(main()), np.resize(noise, 5 * FRAME_SAMPLES))


def test_the_microphone_hears_the_speaker_and_the_recording_does_not() -> None:
    async def main() -> tuple[Pcm, tuple[Pcm, Pcm]]:
        echo = EchoSimulator(EchoPath(delay_ms=30, gain_db=-6, room_ms=0))
        async with ReplayPort(LoopClock(), record=True, noise_rms=0.0, echo=echo) as port:
            port.say(clip(400), at_sample=0)
            port.playback.push("reply", clip(640, 8_000))
            heard = join(await take(port, 5))
        return heard, port.recording()

    heard, (user, reply) = run_virtual(main())
    np.testing.assert_array_equal(np.flatnonzero(user), np.arange(400))
    np.testing.assert_array_equal(np.flatnonzero(reply), np.arange(640))
    echo = heard - user
    assert echo[:479].max() < 10
    assert echo[490:1110].min() == pytest.approx(4_000, rel=0.05)


def test_a_loud_clip_over_noise_is_clipped_and_does_not_wrap() -> None:
    async def main() -> Pcm:
        async with ReplayPort(LoopClock(), noise_rms=300.0) as port:
            port.say(clip(640, 32_767))
            return join(await take(port, 2))

    assert run_virtual(main()).min() > 30_000


def test_the_recording_lines_up_with_the_log() -> None:
    async def main() -> tuple[tuple[Pcm, Pcm], list[Played], int]:
        played: list[Played] = []
        async with ReplayPort(LoopClock(), record=True, noise_rms=0.0) as port:
            port.playback.subscribe(played.extend)
            spoken = port.say(clip(400), at_sample=1000)
            await take(port, 2)
            port.playback.push("reply", clip(500, 6_000))
            await take(port, 4)
        return port.recording(), played, spoken

    (user, reply), played, spoken = run_virtual(main())
    assert len(user) == len(reply) == 6 * FRAME_SAMPLES
    np.testing.assert_array_equal(np.flatnonzero(user), np.arange(spoken, spoken + 400))
    assert played[0].start_sample == 2 * FRAME_SAMPLES
    np.testing.assert_array_equal(np.flatnonzero(reply), np.arange(played[0].start_sample, 640 + 500))


def test_after_the_end_there_is_nothing() -> None:
    async def main() -> list[Frame | None]:
        async with ReplayPort(LoopClock()) as port:
            first = await port.next_frame()
            port.end()
            return [first, await port.next_frame(), await port.next_frame()]

    first, *rest = run_virtual(main())
    assert first is not None
    assert rest == [None, None]


def test_nothing_recorded_is_empty() -> None:
    user, reply = ReplayPort(LoopClock()).recording()
    assert len(user) == len(reply) == 0
