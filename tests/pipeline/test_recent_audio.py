"""The ring of recent audio says the same as a list of all audio, cut to what is kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio import Frame, Pcm
from voicebot.pipeline.recent_audio import RecentAudio


def numbered(begin: int, end: int) -> Pcm:
    """Return samples that are their own numbers."""
    return np.arange(begin, end, dtype=np.int16)


def ring(capacity: int, *lengths: int) -> RecentAudio:
    recent = RecentAudio(capacity)
    for length in lengths:
        start = recent.end_sample
        recent.append(Frame(start, numbered(start, start + length)))
    return recent


def test_a_new_one_is_empty() -> None:
    recent = RecentAudio(100)
    assert (recent.begin_sample, recent.end_sample) == (0, 0)
    assert len(recent.read(0, 100)) == 0


def test_what_was_heard_is_read_by_its_sample() -> None:
    assert ring(100, 40, 40).read(30, 50).tolist() == list(range(30, 50))


@pytest.mark.parametrize("capacity", [80, 100, 119])
def test_the_oldest_is_lost_when_it_is_full(capacity: int) -> None:
    recent = ring(capacity, *[40] * 6)
    assert recent.begin_sample == 240 - capacity
    assert recent.read(0, 1000).tolist() == list(range(240 - capacity, 240))


def test_a_stretch_that_is_gone_or_not_yet_there_is_empty() -> None:
    recent = ring(100, *[40] * 6)
    assert len(recent.read(0, 140)) == 0
    assert len(recent.read(240, 300)) == 0
    assert len(recent.read(200, 200)) == 0
    assert len(recent.read(220, 210)) == 0


@pytest.mark.parametrize(("start", "end"), [(145, 155), (180, 220)])
def test_what_was_read_does_not_change_when_more_is_heard(start: int, end: int) -> None:
    recent = ring(100, *[40] * 6)
    read = recent.read(start, end)
    for _ in range(5):
        recent.append(Frame(recent.end_sample, numbered(0, 40)))
    assert read.tolist() == list(range(start, end))


@given(
    st.integers(20, 60),
    st.lists(st.integers(1, 20), max_size=30),
    st.lists(st.tuples(st.integers(-10, 700), st.integers(-10, 700))),
)
def test_it_reads_like_a_list(capacity: int, lengths: list[int], stretches: list[tuple[int, int]]) -> None:
    recent = ring(capacity, *lengths)
    total = sum(lengths)
    kept = range(max(0, total - capacity), total)
    assert (recent.begin_sample, recent.end_sample) == (kept.start, kept.stop)
    for start, end in stretches:
        assert recent.read(start, end).tolist() == [sample for sample in kept if start <= sample < end]
