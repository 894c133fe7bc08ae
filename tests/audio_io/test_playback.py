"""The playback buffer: what goes in comes out once and in order, or was faded out; and the log says which."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voicebot.audio import AUDIBLE_LEVEL, Pcm, samples_from_ms, silence
from voicebot.audio_io.playback import PlaybackBuffer, Played

RAMP = samples_from_ms(10)


def loud(samples: int, level: int = 10_000) -> Pcm:
    return np.full(samples, level, np.int16)


def test_silence_is_played_where_nothing_waits() -> None:
    buffer = PlaybackBuffer()
    buffer.push("a", loud(100))
    out = buffer.pull(0, 320)
    np.testing.assert_array_equal(out, np.concatenate([loud(100), silence(220)]))
    assert not buffer.pull(320, 320).any()


def test_the_log_names_tag_place_and_first_audible_sample() -> None:
    buffer = PlaybackBuffer()
    log: list[tuple[Played, ...]] = []
    stop = buffer.subscribe(log.append)
    buffer.push("a", np.concatenate([silence(50), loud(150)]))
    buffer.push("b", silence(200))
    buffer.pull(1000, 320)
    buffer.pull(1320, 320)
    buffer.pull(1640, 320)
    stop()
    buffer.pull(1960, 320)
    assert log == [
        (Played("a", 1000, 200, 1050), Played("b", 1200, 120, None)),
        (Played("b", 1320, 80, None),),
        (),
    ]


def test_a_listener_may_stop_from_within_a_call() -> None:
    buffer = PlaybackBuffer()
    calls: list[int] = []

    def once(_: tuple[Played, ...]) -> None:
        calls.append(1)
        stop()

    stop = buffer.subscribe(once)
    buffer.subscribe(lambda _: calls.append(2))
    buffer.pull(0, 320)
    buffer.pull(320, 320)
    assert calls == [1, 2, 2]


def test_a_gain_is_reached_within_10_ms_without_a_step() -> None:
    buffer = PlaybackBuffer()
    buffer.push("a", loud(960))
    buffer.pull(0, 320)
    buffer.set_gain(0.25)
    out = buffer.pull(320, 320)
    assert np.abs(np.diff(out.astype(int))).max() <= 10_000 * 0.75 / (RAMP - 1) + 1
    np.testing.assert_array_equal(out[RAMP:], 2500)
    np.testing.assert_array_equal(buffer.pull(640, 320), 2500)


@pytest.mark.parametrize("block", [80, 160, 320])
def test_a_fade_ends_in_silence_within_10_ms_and_drops_the_rest(block: int) -> None:
    buffer = PlaybackBuffer()
    played: list[Played] = []
    buffer.subscribe(played.extend)
    buffer.push("a", loud(10_000))
    buffer.pull(0, block)
    buffer.fade_out()
    out = np.concatenate([buffer.pull(block * (1 + number), block) for number in range(4)]).astype(int)
    assert not out[RAMP:].any()
    assert (np.diff(out) <= 0).all()
    assert buffer.queued_samples == 0
    assert sum(stretch.samples for stretch in played) < 10_000


def test_a_reply_after_a_fade_has_full_level() -> None:
    buffer = PlaybackBuffer()
    buffer.push("a", loud(1000))
    buffer.set_gain(0.3)
    buffer.pull(0, 320)
    buffer.fade_out()
    buffer.push("b", loud(320))
    out = buffer.pull(320, RAMP + 320)
    assert out[0] == pytest.approx(3000, abs=1)
    assert (np.diff(out[:RAMP].astype(int)) <= 0).all()
    np.testing.assert_array_equal(out[RAMP:], loud(320))


def test_a_fade_of_nothing_leaves_the_next_reply_alone() -> None:
    buffer = PlaybackBuffer()
    buffer.fade_out()
    buffer.push("a", loud(320))
    np.testing.assert_array_equal(buffer.pull(0, 320), loud(320))


@pytest.mark.parametrize("played", [0, 100])
def test_a_fade_of_what_has_not_begun_to_play_leaves_nothing_of_it(played: int) -> None:
    """Not even when something else was played before it and ended."""
    buffer = PlaybackBuffer()
    buffer.push("a", loud(played))
    buffer.pull(0, 320)
    buffer.push("b", loud(1000))
    buffer.fade_out()
    assert buffer.queued_samples == 0
    assert not buffer.pull(320, 320).any()


def test_a_fade_in_the_silence_before_a_reply_leaves_nothing_of_it() -> None:
    buffer = PlaybackBuffer()
    buffer.push("a", np.concatenate((silence(320), loud(1000))))
    buffer.pull(0, 320)
    buffer.fade_out()
    assert not buffer.pull(320, 320).any()


def test_what_sounded_is_known_by_its_place_on_the_timeline() -> None:
    buffer = PlaybackBuffer()
    buffer.push("a", loud(400))
    buffer.pull(1000, 320)
    buffer.pull(1320, 320)
    np.testing.assert_array_equal(buffer.sounded(1000, 1400), loud(400))
    np.testing.assert_array_equal(buffer.sounded(900, 1100), np.concatenate((silence(100), loud(100))))
    np.testing.assert_array_equal(buffer.sounded(1300, 1500), np.concatenate((loud(100), silence(100))))
    assert buffer.sounding_until == 1400


def test_what_sounded_is_what_leaves_after_gain_and_fade() -> None:
    buffer = PlaybackBuffer()
    buffer.push("a", loud(5000))
    out = [buffer.pull(0, 320)]
    buffer.set_gain(0.3)
    out.append(buffer.pull(320, 320))
    buffer.fade_out()
    out.append(buffer.pull(640, 320))
    np.testing.assert_array_equal(buffer.sounded(0, 960), np.concatenate(out))
    assert 640 < buffer.sounding_until <= 640 + RAMP


def test_what_sounded_is_kept_however_others_change_what_they_pulled() -> None:
    buffer = PlaybackBuffer()
    buffer.push("a", loud(320))
    buffer.pull(0, 320)[:] = 0
    np.testing.assert_array_equal(buffer.sounded(0, 320), loud(320))


def test_a_hole_where_the_speaker_had_nothing_is_silent() -> None:
    buffer = PlaybackBuffer()
    buffer.push("a", loud(640))
    buffer.pull(0, 320)
    buffer.pull(640, 320)
    np.testing.assert_array_equal(buffer.sounded(0, 960), np.concatenate((loud(320), silence(320), loud(320))))


def test_silence_is_not_kept() -> None:
    buffer = PlaybackBuffer()
    buffer.pull(0, 320)
    buffer.push("a", silence(320))
    buffer.pull(320, 320)
    assert buffer.sounding_until == 0
    assert not buffer.sounded(-100, 640).any()


def test_four_seconds_are_kept_and_not_more() -> None:
    buffer = PlaybackBuffer()
    for start in range(0, 160_000, 320):
        buffer.push("a", loud(320))
        buffer.pull(start, 320)
    assert buffer.sounded(160_000 - 64_000, 160_000).all()
    assert not buffer.sounded(0, 160_000 - 65_000).any()


def test_an_empty_push_is_nothing() -> None:
    buffer = PlaybackBuffer()
    buffer.push("a", silence(0))
    assert buffer.queued_samples == 0


@given(
    st.lists(st.integers(0, 700), max_size=8),
    st.lists(st.integers(1, 500), min_size=1, max_size=12),
)
def test_everything_is_played_once_in_order(pushes: list[int], pulls: list[int]) -> None:
    buffer = PlaybackBuffer()
    source = np.arange(1, sum(pushes) + 1, dtype=np.int16)
    for tag, pcm in enumerate(np.split(source, np.cumsum(pushes)[:-1]) if pushes else []):
        buffer.push(tag, pcm)
    out = [buffer.pull(0, samples) for samples in pulls]
    heard = np.concatenate(out)
    count = min(len(source), sum(pulls))
    np.testing.assert_array_equal(heard[:count], source[:count])
    assert not heard[count:].any()
    assert buffer.queued_samples == len(source) - count


@given(
    st.lists(st.integers(0, 700), max_size=8),
    st.lists(st.integers(1, 500), min_size=1, max_size=12),
    st.integers(-50, 3000),
    st.integers(0, 3000),
)
def test_any_stretch_of_what_sounded_is_that_of_all_pulls(
    pushes: list[int], pulls: list[int], start: int, length: int
) -> None:
    buffer = PlaybackBuffer()
    for samples in pushes:
        buffer.push("a", np.arange(1, samples + 1, dtype=np.int16))
    starts = np.cumsum([0, *pulls])
    all_out = np.concatenate([buffer.pull(int(at), samples) for at, samples in zip(starts, pulls, strict=False)])
    timeline = np.concatenate((silence(50), all_out, silence(6100)))
    np.testing.assert_array_equal(buffer.sounded(start, start + length), timeline[50 + start : 50 + start + length])
    loud_samples = np.flatnonzero(all_out)
    assert buffer.sounding_until == (loud_samples[-1] + 1 if len(loud_samples) else 0)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 400)), min_size=1, max_size=10))
def test_a_ramp_stays_between_its_ends(steps: list[tuple[float, int]]) -> None:
    buffer = PlaybackBuffer()
    buffer.push("a", loud(sum(samples for _, samples in steps), 20_000))
    before = 1.0
    for gain, samples in steps:
        buffer.set_gain(gain)
        out = buffer.pull(0, samples)
        assert out.min() >= int(20_000 * min(before, gain)) - 1
        assert out.max() <= int(20_000 * max(before, gain)) + 1
        # A ramp that a block cuts short is finished at once, so the gain is always where it was told to be.
        before = gain


@dataclass
class Pushed:
    """One tag's audio and how much of it was logged as played."""

    samples: int
    played: int = 0


class PlaybackMachine(RuleBasedStateMachine):
    """Pushes, pulls, gains and fades in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = PlaybackBuffer()
        self.buffer.subscribe(self.note)
        self.tags: dict[Hashable, Pushed] = {}
        self.now = 0
        self.last_tag = -1
        self.filled = 0
        self.sounding = False

    def note(self, played: tuple[Played, ...]) -> None:
        at = self.now
        for stretch in played:
            assert isinstance(stretch.tag, int)
            assert stretch.start_sample == at
            assert stretch.tag >= self.last_tag
            pushed = self.tags[stretch.tag]
            pushed.played += stretch.samples
            self.last_tag = stretch.tag
            at += stretch.samples
        self.filled = at - self.now

    @rule(samples=st.integers(0, 900))
    def push(self, samples: int) -> None:
        tag = len(self.tags)
        self.tags[tag] = Pushed(samples)
        self.buffer.push(tag, loud(samples))

    @rule(samples=st.integers(1, 500))
    def pull(self, samples: int) -> None:
        out = self.buffer.pull(self.now, samples)
        assert len(out) == samples
        assert not out[self.filled :].any()
        assert out.min() >= 0
        assert out.max() <= 10_000
        self.sounding = self.filled == samples and out[-RAMP:].max() > AUDIBLE_LEVEL
        self.now += samples

    @rule(gain=st.floats(0, 1))
    def set_gain(self, gain: float) -> None:
        self.buffer.set_gain(gain)

    @rule()
    def fade_out(self) -> None:
        self.buffer.fade_out()
        left = RAMP if self.sounding else 0
        for pushed in self.tags.values():
            kept = min(left, pushed.samples - pushed.played)
            pushed.samples = pushed.played + kept
            left -= kept

    @invariant()
    def what_waits_is_what_was_neither_played_nor_dropped(self) -> None:
        waiting = sum(pushed.samples - pushed.played for pushed in self.tags.values())
        assert self.buffer.queued_samples == waiting
        assert all(pushed.played <= pushed.samples for pushed in self.tags.values())


TestPlaybackMachine = PlaybackMachine.TestCase
