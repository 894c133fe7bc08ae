"""Where a satellite's audio is put on the timeline."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Frame, Pcm, samples_from_ms
from voicebot.interfaces.wyoming.mic_timeline import MicTimeline

CHUNK = 1024
CHUNK_S = CHUNK / SAMPLE_RATE_HZ


class Mic:
    """A satellite whose every chunk has a level of its own, so that one sees where it went."""

    def __init__(self) -> None:
        self.timeline = MicTimeline(0.0)
        self.level = 0
        self.frames: list[Frame] = []

    def chunk(self) -> Pcm:
        self.level += 1
        return np.full(CHUNK, self.level, np.int16)

    def send(self, at_s: float, chunks: int = 1) -> None:
        for _ in range(chunks):
            self.timeline.hear(self.chunk(), at_s)
        self.take(at_s)

    def take(self, at_s: float) -> None:
        self.timeline.fill(at_s)
        while (frame := self.timeline.take()) is not None:
            self.frames.append(frame)

    def run(self, from_s: float, until_s: float, *, sending: bool = True) -> None:
        """Let time pass: a chunk every 64 ms, and a look every 20 ms."""
        ticks = int((until_s - from_s) / 0.02)
        due_s = from_s + CHUNK_S
        for tick in range(ticks):
            now_s = from_s + tick * 0.02
            while sending and due_s <= now_s:
                self.send(due_s)
                due_s += CHUNK_S
            self.take(now_s)

    @property
    def pcm(self) -> Pcm:
        return np.concatenate([frame.pcm for frame in self.frames])

    def length_s(self) -> float:
        return len(self.frames) * FRAME_SAMPLES / SAMPLE_RATE_HZ


def test_audio_that_comes_in_time_is_the_timeline() -> None:
    mic = Mic()
    mic.run(0, 3)
    assert mic.pcm.tolist() == np.repeat(np.arange(1, mic.level + 1), CHUNK)[: len(mic.pcm)].tolist()
    assert [frame.start_sample for frame in mic.frames] == [n * FRAME_SAMPLES for n in range(len(mic.frames))]
    assert not any(frame.gap for frame in mic.frames)
    assert abs(mic.timeline.now_sample(3) - 3 * SAMPLE_RATE_HZ) <= CHUNK


def test_what_comes_late_and_at_once_is_all_heard() -> None:
    mic = Mic()
    mic.run(0, 1)
    known = mic.level
    mic.run(1, 3.5, sending=False)  # the network stands still
    mic.send(3.5, chunks=39)
    mic.run(3.5, 5)
    assert mic.timeline.gap_frames == 0
    assert set(range(1, known + 39)) <= set(mic.pcm.tolist())
    assert abs(mic.timeline.now_sample(5) - 5 * SAMPLE_RATE_HZ) <= 2 * CHUNK


def test_the_time_goes_on_while_the_network_stands_still_and_late_copies_are_left_out() -> None:
    mic = Mic()
    mic.run(0, 1)
    mic.run(1, 5, sending=False)
    assert mic.timeline.gap_frames > 0
    mic.send(5.0, chunks=62)
    mic.run(5.0, 7)
    assert mic.timeline.gap_frames * FRAME_SAMPLES >= samples_from_ms(3500)
    assert abs(mic.length_s() - 7) < 0.25
    assert abs(mic.timeline.now_sample(7) - 7 * SAMPLE_RATE_HZ) <= samples_from_ms(150)


def test_a_microphone_that_was_away_is_put_where_it_is_now() -> None:
    mic = Mic()
    mic.run(0, 1)
    mic.run(1, 5, sending=False)
    before = mic.timeline.gap_frames
    mic.run(5, 6)
    assert abs(mic.length_s() - 6) < 0.1
    assert before * 0.02 <= mic.timeline.gap_frames * 0.02 <= 4.1
    assert abs(mic.timeline.now_sample(6) - 6 * SAMPLE_RATE_HZ) <= CHUNK


def test_a_satellite_that_sends_nothing_has_silence_which_is_no_loss() -> None:
    mic = Mic()
    mic.run(0, 10, sending=False)
    assert mic.timeline.gap_frames == 0
    assert 9.7 < mic.length_s() < 10
    mic.timeline.begin()
    mic.send(10.0, chunks=31)  # and all that it kept from before somebody spoke is heard
    assert set(range(1, 31)) <= set(mic.pcm.tolist())
    mic.run(10.0, 12)
    mic.timeline.rest()
    mic.run(12, 30, sending=False)
    assert mic.timeline.gap_frames == 0
    assert mic.length_s() > 29.7


def test_one_that_just_ends_loses_a_moment_and_no_more() -> None:
    mic = Mic()
    mic.run(0, 1)
    mic.run(1, 20, sending=False)
    assert mic.timeline.gap_frames * 0.02 < 6.1
    assert mic.length_s() > 19.7


def test_it_follows_a_clock_that_drifts() -> None:
    mic = Mic()
    for drift in (1 - 2e-4, 1 + 2e-4):
        start_s, sent = 0.0, 0
        mic = Mic()
        while start_s < 600:
            sent += 1
            start_s = sent * CHUNK_S * drift
            mic.send(start_s)
        assert abs(mic.timeline.now_sample(start_s) - sent * CHUNK) <= 2
        assert mic.timeline.gap_frames == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["hear", "begin", "rest", "wait"]),
            st.floats(0, 4, allow_nan=False),
            st.integers(0, 5000),
        ),
        max_size=40,
    )
)
def test_whatever_comes_the_frames_are_in_order_and_the_time_never_goes_back(
    steps: list[tuple[str, float, int]],
) -> None:
    timeline, now_s, latest, count = MicTimeline(0.0), 0.0, 0, 0
    for what, wait_s, samples in steps:
        now_s += wait_s if what == "wait" else wait_s / 100
        if what == "hear":
            timeline.hear(np.ones(samples, np.int16), now_s)
        elif what == "begin":
            timeline.begin()
        elif what == "rest":
            timeline.rest()
        timeline.fill(now_s)
        assert timeline.now_sample(now_s) >= latest
        latest = timeline.now_sample(now_s)
        while (frame := timeline.take()) is not None:
            assert frame.start_sample == count * FRAME_SAMPLES
            assert len(frame.pcm) == FRAME_SAMPLES
            count += 1
    assert count * FRAME_SAMPLES <= now_s * SAMPLE_RATE_HZ + sum(samples for _, _, samples in steps)


def test_nobody_who_takes_the_frames_costs_bounded_memory() -> None:
    timeline = MicTimeline(0.0)
    for number in range(1000):
        timeline.hear(np.ones(CHUNK, np.int16), number * CHUNK_S)
    frames = []
    while (frame := timeline.take()) is not None:
        frames.append(frame)
    assert len(frames) == 1000 * CHUNK // FRAME_SAMPLES
    assert sum(frame.gap for frame in frames) == len(frames) - 250
    assert [frame.start_sample for frame in frames] == [n * FRAME_SAMPLES for n in range(len(frames))]
