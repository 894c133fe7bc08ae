"""A satellite's audio port, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from tests.virtual_conversation import CLOCK
from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Frame, Pcm, ms_from_samples, samples_from_ms, silence
from voicebot.audio_io.playback import Played
from voicebot.clock import run_virtual
from voicebot.engines.scripted import hum
from voicebot.interfaces.wyoming.satellite_port import SatellitePort
from voicebot.interfaces.wyoming.wire import ProtocolError

AHEAD_MS = 80


class Loudspeaker:
    """Notes when what was sent."""

    def __init__(self) -> None:
        self.ready = True
        self.sent: list[tuple[float, Pcm]] = []
        self.starts: list[float] = []
        self.rests: list[float] = []

    def start(self) -> None:
        self.starts.append(CLOCK.now_s())

    def play(self, pcm: Pcm) -> None:
        self.sent.append((CLOCK.now_s(), pcm))

    def rest(self) -> None:
        self.rests.append(CLOCK.now_s())

    @property
    def pcm(self) -> Pcm:
        return np.concatenate([silence(0), *(pcm for _, pcm in self.sent)])

    def most_ahead_ms(self) -> float:
        """Return how much of it a satellite had at most that plays what it gets at once."""
        most, ends_s = 0.0, 0.0
        for at_s, pcm in self.sent:
            ends_s = max(at_s, ends_s) + len(pcm) / SAMPLE_RATE_HZ
            most = max(most, ends_s - at_s)
        return most * 1000


Script = Callable[[SatellitePort, Loudspeaker], Coroutine[Any, Any, None]]


def during(script: Script, *, microphone: bool = True) -> list[Frame]:
    """Run a script while the port is open and the satellite sends silence; return the frames."""
    frames: list[Frame] = []

    async def main() -> None:
        loudspeaker = Loudspeaker()
        port = SatellitePort(loudspeaker, CLOCK, AHEAD_MS)

        async def take() -> None:
            while (frame := await port.next_frame()) is not None:
                frames.append(frame)

        async def speak() -> None:
            while microphone:
                await CLOCK.sleep_s(0.064)
                port.hear(silence(1024))

        async with port, asyncio.TaskGroup() as group:
            running = [group.create_task(work) for work in (port.pace(), speak())]
            taking = group.create_task(take())
            await script(port, loudspeaker)
            port.end()
            await taking
            for task in running:
                task.cancel()

    run_virtual(main())
    return frames


def test_audio_leaves_just_ahead_of_its_time() -> None:
    async def script(port: SatellitePort, loudspeaker: Loudspeaker) -> None:
        played: list[Played] = []
        port.playback.subscribe(played.extend)
        await CLOCK.sleep_s(1)
        port.playback.push("reply", hum(SAMPLE_RATE_HZ))
        pushed_s = CLOCK.now_s()
        await CLOCK.sleep_s(2)
        assert np.array_equal(loudspeaker.pcm, hum(SAMPLE_RATE_HZ))
        first_s, last_s = loudspeaker.sent[0][0], loudspeaker.sent[-1][0]
        assert first_s - pushed_s < 0.021
        assert last_s - pushed_s == pytest.approx(1 - AHEAD_MS / 1000, abs=0.05)
        assert AHEAD_MS - 20 <= loudspeaker.most_ahead_ms() <= AHEAD_MS + 1e-6
        assert [piece.start_sample - played[0].start_sample for piece in played] == [
            number * FRAME_SAMPLES for number in range(50)
        ]
        assert loudspeaker.rests == [pytest.approx(pushed_s + 1.5, abs=0.06)]

    during(script)


def test_what_was_not_sent_when_a_reply_is_interrupted_is_never_sent() -> None:
    async def script(port: SatellitePort, loudspeaker: Loudspeaker) -> None:
        port.playback.push("reply", hum(3 * SAMPLE_RATE_HZ))
        await CLOCK.sleep_s(1)
        played_ms = 1000.0
        port.playback.fade_out()
        await CLOCK.sleep_s(3)
        sent_ms = ms_from_samples(len(loudspeaker.pcm))
        assert played_ms <= sent_ms <= played_ms + AHEAD_MS + 20 + 10
        assert len(loudspeaker.rests) == 1

    during(script)


def test_a_reply_that_comes_in_pieces_is_one_sound() -> None:
    async def script(port: SatellitePort, loudspeaker: Loudspeaker) -> None:
        for _ in range(5):
            port.playback.push("reply", hum(samples_from_ms(300)))
            await CLOCK.sleep_s(0.6)
        assert loudspeaker.rests == []
        assert loudspeaker.most_ahead_ms() <= AHEAD_MS + 1e-6
        await CLOCK.sleep_s(1)
        assert len(loudspeaker.rests) == 1

    during(script)


def test_the_satellite_gets_ready_for_a_reply_before_it_comes() -> None:
    async def script(port: SatellitePort, loudspeaker: Loudspeaker) -> None:
        port.prepare()
        assert loudspeaker.starts == [0.0]
        await CLOCK.sleep_s(0.8)
        port.playback.push("reply", hum(samples_from_ms(300)))
        await CLOCK.sleep_s(2)
        assert (len(loudspeaker.starts), len(loudspeaker.rests)) == (1, 1)
        port.prepare()
        await CLOCK.sleep_s(4)  # and none comes
        assert (len(loudspeaker.starts), len(loudspeaker.rests)) == (2, 2)

    during(script)


def test_a_network_that_takes_nothing_gets_nothing() -> None:
    async def script(port: SatellitePort, loudspeaker: Loudspeaker) -> None:
        port.playback.push("reply", hum(SAMPLE_RATE_HZ))
        await CLOCK.sleep_s(0.2)
        loudspeaker.ready = False
        before = len(loudspeaker.pcm)
        await CLOCK.sleep_s(5)
        assert len(loudspeaker.pcm) == before
        loudspeaker.ready = True
        await CLOCK.sleep_s(2)
        assert np.array_equal(loudspeaker.pcm, hum(SAMPLE_RATE_HZ))
        assert loudspeaker.most_ahead_ms() <= AHEAD_MS + 1e-6

    during(script)


@pytest.mark.parametrize("microphone", [True, False])
def test_frames_come_as_time_passes_whether_the_satellite_sends_or_not(*, microphone: bool) -> None:
    async def script(port: SatellitePort, loudspeaker: Loudspeaker) -> None:
        await CLOCK.sleep_s(5)
        assert abs(port.now_sample() - 5 * SAMPLE_RATE_HZ) <= 1024
        assert port.dropped_frames == 0
        assert loudspeaker.sent == []

    frames = during(script, microphone=microphone)
    assert 4.7 * 50 <= len(frames) <= 5 * 50


def test_audio_that_comes_faster_than_it_can_be_spoken_is_refused() -> None:
    async def script(port: SatellitePort, loudspeaker: Loudspeaker) -> None:
        del loudspeaker
        for _ in range(599):
            port.hear(silence(samples_from_ms(100)))
        with pytest.raises(ProtocolError, match="faster"):
            port.hear(silence(samples_from_ms(200)))

    during(script, microphone=False)
