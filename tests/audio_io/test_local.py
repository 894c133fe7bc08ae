"""LocalPort with a fake device: what it makes of the blocks, and what it does when things end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import numpy as np
import pytest

from voicebot.audio import Pcm, samples_from_ms
from voicebot.audio_io import local
from voicebot.audio_io.devices import DuplexStream, Exchange
from voicebot.audio_io.local import LocalPort
from voicebot.audio_io.playback import PlaybackBuffer, Played
from voicebot.errors import AudioDeviceError

BLOCK = 160
ROUND_TRIP_S = 0.03


class FakeDevice:
    """Opens as a stream; `tick` is what PortAudio's thread does once per block."""

    def __init__(self, rate_hz: int = 16_000, channels: int = 1, round_trip_s: float = ROUND_TRIP_S) -> None:
        self.rates_hz = (rate_hz, rate_hz)
        self.blocksize = rate_hz // 100
        self.latency = (0.02, 0.03)
        self.channels = (1, channels)
        self.closed = threading.Event()
        self.may_open = threading.Event()
        self.may_open.set()
        self.played: list[bytes | None] = []
        self.finished: Callable[[], None] = lambda: None
        self._round_trip_s = round_trip_s
        self._exchange: Exchange | None = None

    def open(
        self,
        microphone: str | None,
        speaker: str | None,
        block_ms: int,
        exchange: Exchange,
        finished: Callable[[], None],
    ) -> DuplexStream:
        assert (microphone, speaker, block_ms) == ("mic", "spk", 10)
        self.may_open.wait()
        self._exchange, self.finished = exchange, finished
        return self

    def close(self) -> None:
        self.finished()
        self.closed.set()

    def capture(self, captured: Pcm, at_s: float) -> None:
        """What the microphone's thread does, where it is another device with a clock of its own."""
        assert self._exchange is not None
        self._exchange.take(captured.tobytes(), at_s, xrun=False)

    def play(self, heard_s: float) -> None:
        """What the speaker's thread does then."""
        assert self._exchange is not None
        self.played.append(self._exchange.give(heard_s, xrun=False))

    async def tick(self, captured: Pcm | None = None, *, xrun: bool = False) -> None:
        self.stall(captured, xrun=xrun)
        await asyncio.sleep(0)

    def stall(self, captured: Pcm | None = None, *, xrun: bool = False) -> None:
        """Go on by a block without the event loop's having its turn."""
        assert self._exchange is not None
        pcm = np.zeros(self.blocksize, np.int16) if captured is None else captured
        self.played.append(self._exchange(pcm.tobytes(), self._round_trip_s, xrun=xrun))

    def heard(self) -> Pcm:
        silent = bytes(self.blocksize * 2 * self.channels[1])
        return np.frombuffer(b"".join(block or silent for block in self.played), np.int16)


def port_on(device: FakeDevice, *, backlog_ms: int = 1000, lead_ms: int = 40) -> LocalPort:
    return LocalPort("mic", "spk", block_ms=10, backlog_ms=backlog_ms, lead_ms=lead_ms, open_stream=device.open)


def ramp(blocks: int) -> list[Pcm]:
    return list(np.arange(1, blocks * BLOCK + 1, dtype=np.int16).reshape(blocks, BLOCK))


async def test_blocks_become_numbered_frames() -> None:
    device = FakeDevice()
    async with port_on(device) as port:
        for block in ramp(6):
            await device.tick(block)
        frames = [await port.next_frame() for _ in range(3)]
    assert [frame.start_sample for frame in frames if frame] == [0, 320, 640]
    assert not any(frame.gap for frame in frames if frame)
    np.testing.assert_array_equal(np.concatenate([frame.pcm for frame in frames if frame]), np.arange(1, 961))
    assert port.dropped_frames == 0
    assert device.closed.is_set()


async def test_what_nobody_takes_becomes_marked_silence() -> None:
    device = FakeDevice()
    blocks = ramp(11)
    async with port_on(device, backlog_ms=60) as port:
        for block in blocks:
            await device.tick(block)
        frames = [await port.next_frame() for _ in range(5)]
    assert [frame and frame.start_sample for frame in frames] == [0, 320, 640, 960, 1280]
    # Blocks 0 to 4 are lost, so the first half of frame 2 is too, and a frame is whole or a gap.
    assert [frame and frame.gap for frame in frames] == [True, True, True, False, False]
    assert [bool(frame and frame.pcm.any()) for frame in frames] == [False, False, False, True, True]
    assert frames[3] is not None
    np.testing.assert_array_equal(frames[3].pcm, np.concatenate(blocks[6:8]))
    assert port.dropped_frames == 3


async def test_two_gaps_are_marked_each() -> None:
    device = FakeDevice()
    blocks = ramp(16)
    async with port_on(device, backlog_ms=40) as port:
        for block in blocks[:6]:
            await device.tick(block)
        first = [await port.next_frame() for _ in range(3)]
        for block in blocks[6:]:
            await device.tick(block)
        second = [await port.next_frame() for _ in range(5)]
    assert [frame and frame.gap for frame in first + second] == [True, False, False, True, True, True, False, False]
    assert second[-1] is not None
    np.testing.assert_array_equal(second[-1].pcm, np.concatenate(blocks[14:]))


@pytest.mark.parametrize("rate_hz", [16_000, 48_000, 44_100])
async def test_what_is_played_is_heard_where_the_log_says(rate_hz: int) -> None:
    device = FakeDevice(rate_hz)
    played: list[Played] = []
    async with port_on(device) as port:
        port.playback.subscribe(played.extend)
        for number in range(60):
            if number in {5, 40}:
                port.playback.push("click", click())
            if number == 20:
                for _ in range(7):
                    device.stall()
            await device.tick()
        late = port.late_blocks
    assert late == 4  # eight blocks without a turn, of which the lead of four was ready
    clicks = np.flatnonzero(np.diff((device.heard() > 5000).astype(np.int8), prepend=0) == 1)
    assert len(clicks) == 2
    for found, stretch in zip(clicks, [stretch for stretch in played if stretch.audible_sample], strict=True):
        heard_at = found * 16_000 / rate_hz + ROUND_TRIP_S * 16_000
        assert stretch.audible_sample == pytest.approx(heard_at, abs=2)


async def test_the_lead_is_all_that_still_plays_after_a_fade() -> None:
    device = FakeDevice()
    async with port_on(device, lead_ms=40) as port:
        port.playback.push("long", np.full(16_000, 9000, np.int16))
        for _ in range(10):
            await device.tick()
        port.playback.fade_out()
        at = len(device.heard())
        for _ in range(10):
            await device.tick()
        assert port.late_blocks == 0
    loud = np.flatnonzero(device.heard())
    assert loud[-1] - at < samples_from_ms(40 + 10)


async def test_a_stereo_speaker_gets_both_channels() -> None:
    device = FakeDevice(channels=2)
    async with port_on(device) as port:
        port.playback.push("click", click())
        for _ in range(8):
            await device.tick()
    left, right = device.heard().reshape(-1, 2).T
    assert left.max() > 5000
    np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("rate_hz", [48_000, 44_100, 22_050, 8_000])
async def test_a_device_of_another_rate_keeps_time_and_level(rate_hz: int) -> None:
    device = FakeDevice(rate_hz)
    seconds, begins_s = 1.0, 0.5
    moments = np.arange(int(seconds * rate_hz)) / rate_hz
    tone = np.where(moments >= begins_s, 10_000 * np.sin(2 * np.pi * 440 * moments), 0).astype(np.int16)
    heard: list[Pcm] = []
    async with port_on(device, backlog_ms=2000) as port:
        for start in range(0, len(tone) - device.blocksize + 1, device.blocksize):
            await device.tick(tone[start : start + device.blocksize])
        for _ in range(45):
            frame = await port.next_frame()
            assert frame is not None
            heard.append(frame.pcm)
    pcm = np.concatenate(heard)
    assert np.flatnonzero(np.abs(pcm) > 2000)[0] == pytest.approx(begins_s * 16_000, abs=16)
    steady = pcm[9_000:13_000].astype(float)
    assert np.sqrt(np.mean(steady**2)) == pytest.approx(10_000 / np.sqrt(2), rel=0.01)
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady))))
    assert np.argmax(spectrum) * 16_000 / len(steady) == pytest.approx(440, abs=4)


async def test_a_gap_keeps_time_when_resampled() -> None:
    device = FakeDevice(48_000)
    async with port_on(device, backlog_ms=100) as port:
        for number in range(30):
            captured = np.zeros(device.blocksize, np.int16)
            captured[0] = 30_000 if number == 25 else 0
            await device.tick(captured)
        frames = [await port.next_frame() for _ in range(14)]
    assert [bool(frame and frame.gap) for frame in frames] == [True] * 10 + [False] * 4
    pcm = np.concatenate([frame.pcm for frame in frames if frame])
    assert np.argmax(pcm) == pytest.approx(25 * BLOCK, abs=1)


async def test_a_device_without_a_clock_is_heard_after_the_latencies_it_states() -> None:
    device = FakeDevice(round_trip_s=0.0)
    played: list[Played] = []
    async with port_on(device) as port:
        port.playback.subscribe(played.extend)
        await device.tick()
        port.playback.push("click", click())
        await device.tick()
    at = next(stretch.start_sample for stretch in played)
    assert at == 5 * BLOCK + samples_from_ms(50)


@pytest.mark.parametrize("drift", [1e-3, -1e-3])
async def test_two_devices_whose_clocks_drift_stay_together(drift: float) -> None:
    device, block_s, delay_s = FakeDevice(), BLOCK / 16_000, 0.026
    played: list[Played] = []
    async with port_on(device) as port:
        port.playback.subscribe(played.extend)
        captures = [(n * block_s, "microphone") for n in range(6000)]
        plays = [(n * block_s / (1 + drift) + 0.001, "speaker") for n in range(6000)]
        for number, (at_s, which) in enumerate(sorted(captures + plays)):
            if which == "speaker":
                device.play(at_s - 0.001 + delay_s)
            else:
                device.capture(np.zeros(BLOCK, np.int16), at_s)
                if round(at_s / block_s) % 2:
                    await port.next_frame()
            if number % 1000 == 500:
                port.playback.push("click", click())
            await asyncio.sleep(0)
        assert (port.dropped_frames, port.late_blocks) == (0, 0)
    clicks = np.flatnonzero(np.diff((device.heard() > 5000).astype(np.int8), prepend=0) == 1)
    logged = [stretch.audible_sample for stretch in played if stretch.audible_sample]
    assert len(clicks) == len(logged) == 12
    # A click is sample n by the speaker's clock. The timeline is the microphone's, which is not as fast.
    apart = (clicks / (1 + drift)) - clicks
    assert abs(apart[-1]) > samples_from_ms(50)
    np.testing.assert_allclose(logged, clicks + apart + delay_s * 16_000, atol=samples_from_ms(3))


async def test_a_speaker_that_takes_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_DEAD_AFTER_S", 0.05)
    device = FakeDevice()

    async def listen(port: LocalPort) -> None:
        while True:
            device.capture(np.zeros(BLOCK, np.int16), 0.0)
            device.capture(np.zeros(BLOCK, np.int16), 0.0)
            await port.next_frame()
            await asyncio.sleep(0.01)

    async with port_on(device) as port:
        with pytest.raises(AudioDeviceError, match="speaker has taken nothing"):
            await listen(port)


async def test_the_first_sample_has_the_number_it_is_given() -> None:
    device, playback = FakeDevice(), PlaybackBuffer()
    played: list[Played] = []
    port = LocalPort("mic", "spk", block_ms=10, open_stream=device.open, playback=playback, begins_at=lambda: 3200)
    async with port:
        playback.subscribe(played.extend)
        playback.push("click", click())
        for _ in range(8):
            await device.tick()
        frame = await port.next_frame()
        assert frame is not None
        assert frame.start_sample == 3200
        assert port.now_sample() >= 3200
    clicks = np.flatnonzero(device.heard() > 5000)
    at = next(stretch.audible_sample for stretch in played if stretch.audible_sample)
    assert at == pytest.approx(3200 + clicks[0] + samples_from_ms(1000 * ROUND_TRIP_S), abs=2)


async def test_xruns_of_the_device_are_counted() -> None:
    device = FakeDevice()
    async with port_on(device) as port:
        await device.tick()
        await device.tick(xrun=True)
        assert port.xruns == 1


async def test_frames_that_came_before_the_end_are_delivered_before_the_error() -> None:
    device = FakeDevice()
    async with port_on(device) as port:
        await device.tick()
        await device.tick()
        device.finished()
        assert await port.next_frame() is not None
        with pytest.raises(AudioDeviceError, match="has stopped"):
            await port.next_frame()


async def test_a_silent_device_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_DEAD_AFTER_S", 0.05)
    async with port_on(FakeDevice()) as port:
        with pytest.raises(AudioDeviceError, match="delivered nothing"):
            await port.next_frame()


async def test_closing_ends_a_wait_for_a_frame() -> None:
    port = port_on(FakeDevice())
    async with port:
        waiting = asyncio.create_task(port.next_frame())
        await asyncio.sleep(0)
    assert await waiting is None
    assert await port.next_frame() is None


async def test_a_cancelled_wait_loses_nothing() -> None:
    device = FakeDevice()
    async with port_on(device) as port:
        await device.tick()
        waiting = asyncio.create_task(port.next_frame())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await device.tick()
        frame = await port.next_frame()
        assert frame is not None
        assert frame.start_sample == 0
        assert not frame.gap


async def test_devices_that_open_after_the_wait_was_cancelled_are_closed() -> None:
    device = FakeDevice()
    device.may_open.clear()
    opening = asyncio.create_task(port_on(device).__aenter__())
    await asyncio.sleep(0.01)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    device.may_open.set()
    assert await asyncio.to_thread(device.closed.wait, 5)


async def test_a_device_that_does_not_close_does_not_hold_up_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_CLOSE_S", 0.05)
    device = FakeDevice()
    hangs = threading.Event()
    monkeypatch.setattr(device, "close", hangs.wait)
    async with port_on(device) as port:
        pass
    assert await port.next_frame() is None
    hangs.set()


def test_the_clock_is_smooth_and_never_goes_back() -> None:
    clock = local._SampleClock()
    assert clock.now_sample(1.0) == 0
    rng = np.random.default_rng(3)
    lags: list[float] = []
    for block in range(1, 500):
        at_s = 7.0 + block / 100
        clock.anchor(block * BLOCK, at_s + rng.uniform(-0.004, 0.004))
        lags += [clock.now_sample(at_s + part_s) - block * BLOCK - part_s * 16_000 for part_s in (0.0, 0.005)]
    assert max(abs(lag) for lag in lags[200:]) < samples_from_ms(2)
    latest = clock.now_sample(12.0)
    clock.anchor(500 * BLOCK, 13.0)
    assert clock.now_sample(13.0) == latest
    clock.anchor(560 * BLOCK, 13.6)
    assert clock.now_sample(13.6) == 560 * BLOCK


def click() -> Pcm:
    pcm = np.zeros(BLOCK, np.int16)
    pcm[80:100] = 20_000
    return pcm
