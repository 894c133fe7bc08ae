"""LastingPort with devices that come and go by script, in virtual time."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np
import pytest

from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Frame, samples_from_ms
from voicebot.audio_io.lasting import DevicePort, LastingPort
from voicebot.audio_io.playback import PlaybackBuffer, Played
from voicebot.audio_io.sound_system import SoundSystem
from voicebot.clock import LoopClock, run_virtual
from voicebot.errors import AudioDeviceError

MIC = ("source", 1, "mic")
SPEAKER = ("sink", 2, "spk")
MONITOR = ("source", 3, "spk.monitor")
CLOCK = LoopClock()


class FakePort:
    """Delivers a frame of ones every 20 ms while its devices are there."""

    xruns = 3
    dropped_frames = 2

    def __init__(self, devices: FakeDevices, playback: PlaybackBuffer, begins_at: Callable[[], int]) -> None:
        self.playback = playback
        self._devices = devices
        self._ask_begin = begins_at
        self._closed = False
        self._frames = 0
        self._begins_at = 0
        self._opened_s = 0.0

    async def __aenter__(self) -> Self:
        await CLOCK.sleep_s(self._devices.opening_s)
        if not self._devices.there:
            raise AudioDeviceError("It is not there.")
        self._begins_at, self._opened_s = self._ask_begin(), CLOCK.now_s()
        self._devices.open_ports += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self._devices.open_ports -= 1

    async def next_frame(self) -> Frame | None:
        self._frames += 1
        await CLOCK.sleep_s(self._opened_s + self._frames * 0.02 - CLOCK.now_s())
        if self._closed:
            return None
        if not self._devices.there or CLOCK.now_s() > self._opened_s + self._devices.dies_after_s:
            raise AudioDeviceError("It is gone.")
        start = self._begins_at + (self._frames - 1) * FRAME_SAMPLES
        self.playback.pull(start, FRAME_SAMPLES)
        return Frame(start, np.ones(FRAME_SAMPLES, np.int16))

    def now_sample(self) -> int:
        return self._begins_at + round((CLOCK.now_s() - self._opened_s) * SAMPLE_RATE_HZ)


class FakeDevices:
    """`there` says whether they open and work."""

    microphone = "mic"
    speaker = "spk"

    def __init__(self, *, there: bool = True) -> None:
        self.there = there
        self.system = SoundSystem(nodes=frozenset({MIC, SPEAKER, MONITOR}), monitors=frozenset({MONITOR}))
        self.system = replace(self.system, ours=frozenset({MIC, SPEAKER}))
        self.opening_s = 0.05
        self.looking_s = 0.0
        self.dies_after_s = math.inf
        self.tries = 0
        self.lists = 0
        self.open_ports = 0

    def plug(self, *, there: bool) -> None:
        self.there = there
        self.system = replace(self.system, cards=("a card",) if there else ())

    async def look(self) -> SoundSystem:
        await CLOCK.sleep_s(self.looking_s)
        return self.system

    async def relist(self) -> None:
        assert self.open_ports == 0
        self.lists += 1

    def port(self, playback: PlaybackBuffer, begins_at: Callable[[], int]) -> DevicePort:
        self.tries += 1
        return FakePort(self, playback, begins_at)


class Listening:
    """Takes all frames, as a session does."""

    def __init__(self, port: LastingPort) -> None:
        self.frames: list[Frame] = []
        self.lags_ms: list[float] = []
        self._port = port

    async def run(self) -> None:
        begun_s = CLOCK.now_s()
        while (frame := await self._port.next_frame()) is not None:
            self.frames.append(frame)
            self.lags_ms.append(1000 * (CLOCK.now_s() - begun_s - frame.end_sample / SAMPLE_RATE_HZ))

    def gaps(self) -> list[tuple[float, float]]:
        """Return where silence stands in for what was not heard, in seconds."""
        edges = np.flatnonzero(np.diff([0, *(frame.gap for frame in self.frames), 0]))
        return [(float(begin * 0.02), float(end * 0.02)) for begin, end in edges.reshape(-1, 2)]


def hold(
    script: Callable[[FakeDevices, LastingPort], Awaitable[None]],
    devices: FakeDevices,
    give_up: Callable[[], object] = lambda: None,
) -> Listening:
    """Listen for as long as the script runs."""

    async def main() -> Listening:
        async with LastingPort(devices, CLOCK, give_up) as port:
            listening = Listening(port)
            task = asyncio.create_task(listening.run())
            await script(devices, port)
        await task
        assert devices.open_ports == 0
        return listening

    return run_virtual(main())


def test_the_timeline_goes_on_without_a_device() -> None:
    async def script(devices: FakeDevices, port: LastingPort) -> None:
        for _ in range(3):
            await CLOCK.sleep_s(2)
            devices.plug(there=False)
            await CLOCK.sleep_s(3)
            devices.plug(there=True)
        await CLOCK.sleep_s(2)
        assert port.status() | {"since_s": 0} == {
            "state": "working",
            "reason": "",
            "since_s": 0,
            "outages": 3,
            "xruns": 12,
            "microphone": "mic",
            "speaker": "spk",
        }
        assert port.dropped_frames == 8

    heard = hold(script, FakeDevices())
    assert [frame.start_sample for frame in heard.frames] == [FRAME_SAMPLES * n for n in range(len(heard.frames))]
    assert all(frame.pcm.any() != frame.gap for frame in heard.frames)
    assert len(heard.frames) * 0.02 == pytest.approx(17, abs=0.1)
    assert -21 < min(heard.lags_ms) <= max(heard.lags_ms) < 100
    gaps = heard.gaps()
    assert len(gaps) == 3
    for number, (begin, end) in enumerate(gaps):
        assert begin == pytest.approx(2 + 5 * number, abs=0.05)
        assert 5 + 5 * number <= end < 5.7 + 5 * number


@pytest.mark.parametrize("looking_s", [0.05, 0.15, 2.5])
def test_no_moment_comes_twice_while_a_slow_system_is_asked_what_was_opened(looking_s: float) -> None:
    async def script(devices: FakeDevices, port: LastingPort) -> None:
        devices.looking_s = looking_s
        for _ in range(3):
            devices.plug(there=False)
            await CLOCK.sleep_s(2)
            devices.plug(there=True)
            await CLOCK.sleep_s(4 + 2 * looking_s)
        assert port.status()["state"] == "working"

    heard = hold(script, FakeDevices())
    assert [frame.start_sample for frame in heard.frames] == [FRAME_SAMPLES * n for n in range(len(heard.frames))]
    assert len(heard.gaps()) == 3


def test_the_present_never_goes_back() -> None:
    moments: list[int] = []

    async def script(devices: FakeDevices, port: LastingPort) -> None:
        for step in range(600):
            if step % 100 == 50:
                devices.plug(there=not devices.there)
            moments.append(port.now_sample())
            await CLOCK.sleep_s(0.01)

    hold(script, FakeDevices())
    assert moments == sorted(moments)
    assert moments[-1] == pytest.approx(5.99 * SAMPLE_RATE_HZ, abs=samples_from_ms(50))


def test_it_opens_without_a_device_and_takes_it_when_it_comes(caplog: pytest.LogCaptureFixture) -> None:
    async def script(devices: FakeDevices, port: LastingPort) -> None:
        assert port.status()["state"] == "away"
        assert port.status()["reason"] == "It is not there."
        await CLOCK.sleep_s(60)
        devices.plug(there=True)
        await CLOCK.sleep_s(2)
        assert (port.status()["state"], port.status()["outages"]) == ("working", 0)

    with caplog.at_level(logging.INFO):
        heard = hold(script, FakeDevices(there=False))
    ((begin, end),) = heard.gaps()
    assert begin == 0
    assert 60 <= end < 61
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_an_outage_is_one_line_and_the_return_is_another(caplog: pytest.LogCaptureFixture) -> None:
    async def script(devices: FakeDevices, port: LastingPort) -> None:
        await CLOCK.sleep_s(1)
        devices.plug(there=False)
        await CLOCK.sleep_s(600)
        assert port.status()["reason"] == "It is not there."
        devices.plug(there=True)
        await CLOCK.sleep_s(1)

    with caplog.at_level(logging.INFO):
        hold(script, FakeDevices())
    lost, back = (record.getMessage() for record in caplog.records)
    assert "It is gone." in lost
    assert "after 600." in back


def test_the_longer_it_is_away_the_more_rarely_it_is_tried() -> None:
    async def main() -> None:
        devices = FakeDevices(there=False)
        async with LastingPort(devices, CLOCK):
            await CLOCK.sleep_s(24 * 3600)
        assert devices.lists == devices.tries
        assert 288 < devices.tries < 310

    run_virtual(main())


def test_a_device_that_always_dies_is_not_listed_anew_each_time() -> None:
    async def script(_devices: FakeDevices, _port: LastingPort) -> None:
        await CLOCK.sleep_s(60)

    devices = FakeDevices()
    devices.dies_after_s = 0.1
    hold(script, devices)
    assert 20 < devices.tries < 120
    assert devices.lists == 1


def test_what_nothing_tells_of_is_found_as_well() -> None:
    async def script(devices: FakeDevices, port: LastingPort) -> None:
        await CLOCK.sleep_s(2)
        devices.there = True  # another program has let go of it: no device has come
        await CLOCK.sleep_s(3)
        assert port.status()["state"] == "working"

    hold(script, FakeDevices(there=False))


def test_a_stream_that_was_moved_to_another_device_is_lost() -> None:
    async def script(devices: FakeDevices, port: LastingPort) -> None:
        await CLOCK.sleep_s(2)
        before, devices.there = devices.system, False
        devices.system = replace(before, nodes=before.nodes - {MIC}, ours=frozenset({MONITOR, SPEAKER}))
        devices.there = True
        opened = devices.tries
        await CLOCK.sleep_s(1.5)
        assert port.status()["outages"] == 1
        assert port.status()["state"] == "away"
        assert "no microphone" in port.status()["reason"]  # what the speaker plays is none
        devices.system = before
        await CLOCK.sleep_s(1)
        assert port.status()["state"] == "working"
        assert devices.tries > opened

    hold(script, FakeDevices())


def test_who_asks_for_a_monitor_gets_it() -> None:
    async def script(_devices: FakeDevices, port: LastingPort) -> None:
        await CLOCK.sleep_s(5)
        assert port.status()["state"] == "working"

    devices = FakeDevices()
    devices.system = replace(devices.system, ours=frozenset({MONITOR, SPEAKER}))
    hold(script, devices)


@pytest.mark.parametrize("away_s", [1.0, 30.0])
def test_what_waits_is_held_for_a_moment_and_then_given_up(away_s: float) -> None:
    played: list[Played] = []
    gave_up_s: list[float] = []

    async def script(devices: FakeDevices, port: LastingPort) -> None:
        port.playback.subscribe(played.extend)
        port.playback.push("reply", np.full(2 * SAMPLE_RATE_HZ, 9000, np.int16))
        await CLOCK.sleep_s(1)
        devices.plug(there=False)
        await CLOCK.sleep_s(away_s)
        assert port.playback.queued_samples == pytest.approx(SAMPLE_RATE_HZ, abs=samples_from_ms(60))
        devices.plug(there=True)
        await CLOCK.sleep_s(3)

    hold(script, FakeDevices(), lambda: gave_up_s.append(CLOCK.now_s()))
    assert sum(stretch.samples for stretch in played) == 2 * SAMPLE_RATE_HZ
    assert len(gave_up_s) == math.floor(away_s / 2)
    if gave_up_s:
        assert gave_up_s[0] == pytest.approx(3, abs=0.1)


def test_nothing_is_given_up_where_nothing_waits() -> None:
    async def script(devices: FakeDevices, _port: LastingPort) -> None:
        devices.plug(there=False)
        await CLOCK.sleep_s(30)

    def give_up() -> None:
        raise AssertionError

    hold(script, FakeDevices(), give_up)


@pytest.mark.parametrize("opening_s", [0.05, 100.0])
def test_it_closes_while_it_waits_or_opens(opening_s: float) -> None:
    async def script(devices: FakeDevices, _port: LastingPort) -> None:
        await CLOCK.sleep_s(1)
        devices.opening_s = opening_s
        devices.plug(there=False)
        await CLOCK.sleep_s(5)

    heard = hold(script, FakeDevices())
    assert len(heard.frames) * 0.02 == pytest.approx(6, abs=0.1)


def test_who_gives_up_opening_leaves_no_task_behind() -> None:
    async def main() -> None:
        devices = FakeDevices()
        devices.opening_s = 10.0
        port = LastingPort(devices, CLOCK)
        opening = asyncio.create_task(port.__aenter__())
        await CLOCK.sleep_s(1)
        opening.cancel()
        await asyncio.wait([opening])
        assert opening.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert devices.open_ports == 0

    run_virtual(main())


def test_an_error_that_nobody_thought_of_reaches_whoever_listens() -> None:
    async def main() -> None:
        devices = FakeDevices()
        async with LastingPort(devices, CLOCK) as port:
            devices.open_ports = 2  # relist asserts that there is none
            devices.plug(there=False)
            async with asyncio.timeout(60):
                while await port.next_frame() is not None:
                    pass

    with pytest.raises(AssertionError):
        run_virtual(main())
