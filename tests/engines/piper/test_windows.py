"""Windows cover a sentence once, each with its context, from a small first one on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicebot.engines.piper.windows import Window, windows


@given(st.integers(0, 5000), st.integers(0, 40), st.integers(0, 5000))
def test_every_frame_is_in_one_window_with_its_context(frames: int, context: int, begin: int) -> None:
    made = list(windows(frames, context, begin))
    assert [window.start for window in made] == [begin, *(window.stop for window in made)][: len(made)]
    assert sum(window.stop - window.start for window in made) == max(0, frames - begin)
    for window in made:
        assert window.seen_from == max(0, window.start - context)
        assert window.seen_to == min(frames, window.stop + context)


def test_they_double_up_to_three_seconds() -> None:
    assert [window.stop - window.start for window in windows(1200, 12)] == [20, 40, 80, 160, 256, 256, 256, 132]


def test_what_is_left_is_no_window_of_its_own_when_it_is_short() -> None:
    assert [window.stop for window in windows(20 + 40 + 19, 12)] == [20, 79]
    assert [window.stop for window in windows(20 + 40 + 20, 12)] == [20, 60, 80]
    assert list(windows(39, 12)) == [Window(0, 39, 0, 39)]
    assert list(windows(39, 12, begin=30)) == [Window(30, 39, 18, 39)]


def test_no_frames_no_windows() -> None:
    assert list(windows(0, 12)) == []
