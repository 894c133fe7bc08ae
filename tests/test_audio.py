"""Samples, milliseconds, levels, and where in a clip something can be heard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from voicebot.audio import (
    AUDIBLE_LEVEL,
    FRAME_SAMPLES,
    FULL_SCALE,
    Frame,
    Pcm,
    first_audible_sample,
    last_audible_sample,
    level_dbfs,
    ms_from_samples,
    samples_from_ms,
    silence,
    voiced_span,
)

CLIPS = arrays.arrays(np.int16, st.integers(0, 50))


def pcm(*samples: int) -> Pcm:
    return np.array(samples, np.int16)


def test_a_millisecond_is_sixteen_samples() -> None:
    assert samples_from_ms(20) == FRAME_SAMPLES == 320
    assert ms_from_samples(320) == 20.0
    assert samples_from_ms(0.1) == 2


@given(st.integers(0, 10**9))
def test_samples_survive_the_way_through_milliseconds(samples: int) -> None:
    assert samples_from_ms(ms_from_samples(samples)) == samples


def test_a_frame_ends_where_the_next_one_starts() -> None:
    assert Frame(640, silence(320)).end_sample == 960


@pytest.mark.parametrize(
    ("samples", "dbfs"),
    [
        (np.full(320, -FULL_SCALE, np.int16), 0.0),
        (np.full(320, FULL_SCALE // 2, np.int16), -6.02),
        (np.full(320, FULL_SCALE // 1000, np.int16), -60.2),
        (silence(320), -120.0),
        (silence(0), -120.0),
    ],
)
def test_the_level_is_in_db_below_full_scale(samples: Pcm, dbfs: float) -> None:
    assert level_dbfs(samples) == pytest.approx(dbfs, abs=0.1)


def test_audible_is_above_one_percent_of_full_scale() -> None:
    assert AUDIBLE_LEVEL == 327
    assert first_audible_sample(pcm(0, 327, -327, -328, 0, 400, 1)) == 3
    assert last_audible_sample(pcm(0, 327, -327, -328, 0, 400, 1)) == 5


@pytest.mark.parametrize("samples", [silence(0), silence(9), pcm(327, -327)])
def test_silence_is_not_audible(samples: Pcm) -> None:
    assert first_audible_sample(samples) is None
    assert last_audible_sample(samples) is None


def test_the_lowest_sample_is_loud_and_not_negative() -> None:
    assert first_audible_sample(pcm(0, -32768)) == 1
    assert voiced_span(pcm(0, -32768, 0)) == (1, 1)


def test_voiced_is_above_one_percent_of_the_clips_own_peak() -> None:
    assert voiced_span(pcm(0, 9, 11, 1000, -11, 10, 0)) == (2, 4)
    assert voiced_span(pcm(0, 1, 0)) == (1, 1)


def test_digital_silence_has_no_voice() -> None:
    assert voiced_span(silence(100)) is None
    assert voiced_span(silence(0)) is None


@given(CLIPS)
def test_the_audible_part_is_all_that_is_audible(clip: Pcm) -> None:
    first, last = first_audible_sample(clip), last_audible_sample(clip)
    loud = [index for index, sample in enumerate(clip.tolist()) if abs(sample) > AUDIBLE_LEVEL]
    assert (first, last) == ((loud[0], loud[-1]) if loud else (None, None))


@given(CLIPS)
def test_the_voiced_part_holds_the_peak(clip: Pcm) -> None:
    magnitudes = [abs(sample) for sample in clip.tolist()]
    span = voiced_span(clip)
    assert (span is None) == (max(magnitudes, default=0) == 0)
    if span is not None:
        assert span[0] <= magnitudes.index(max(magnitudes)) <= span[1]
