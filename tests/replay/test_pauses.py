"""Pauses are as long as they should be, and nothing else is changed."""

from __future__ import annotations

import numpy as np
import pytest

from voicebot.audio import level_dbfs, samples_from_ms, silence
from voicebot.engines.scripted import hum
from voicebot.replay.pauses import parted, quietest_sample, with_pause

WORDS = np.concatenate((hum(6400), hum(1600) // 50, hum(6400), hum(1600) // 50, hum(6400)))
GAPS = ((6400, 8000), (14_400, 16_000))


@pytest.mark.parametrize("near_sample", [6600, 7200, 7800])
def test_the_quietest_sample_near_a_gap_is_in_it(near_sample: int) -> None:
    found = quietest_sample(WORDS, near_sample)
    assert found is not None
    assert GAPS[0][0] <= found <= GAPS[0][1]


def test_there_is_none_at_the_edges_or_in_silence() -> None:
    assert quietest_sample(WORDS, 3000) is None
    assert quietest_sample(WORDS, len(WORDS) - 3000) is None
    assert quietest_sample(silence(16_000), 8000) is None


@pytest.mark.parametrize("pause_ms", [400, 1500])
def test_the_pause_is_as_long_as_asked_and_as_quiet_as_a_room(pause_ms: int) -> None:
    paused = with_pause(WORDS, 7200, pause_ms)
    samples = samples_from_ms(pause_ms)
    assert len(paused) == len(WORDS) + samples
    assert level_dbfs(paused[7200 : 7200 + samples]) == pytest.approx(-80, abs=1)
    np.testing.assert_array_equal(paused[: 7200 - 128], WORDS[: 7200 - 128])
    np.testing.assert_array_equal(paused[7200 + samples + 128 :], WORDS[7200 + 128 :])


def test_the_same_seed_is_the_same_pause() -> None:
    np.testing.assert_array_equal(with_pause(WORDS, 7200, 500, 3), with_pause(WORDS, 7200, 500, 3))
    assert (with_pause(WORDS, 7200, 500, 3) != with_pause(WORDS, 7200, 500, 4)).any()


def test_both_parts_fade_at_the_cut() -> None:
    before, after = parted(np.full(1000, 8000, np.int16), 500)
    assert (len(before), len(after)) == (500, 500)
    assert (before[-1], after[0]) == (0, 0)
    assert before[-128:].tolist() == sorted(before[-128:].tolist(), reverse=True)
    assert before[:300].min() == after[200:].min() == 8000
