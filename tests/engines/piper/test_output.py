"""A voice's audio is resampled as if it were one piece, and its leading silence is cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from voicebot.audio import Pcm, first_audible_sample, samples_from_ms, silence
from voicebot.audio_io.wav import resample, to_int16
from voicebot.engines.piper.output import Trimmer, at_16_khz, silent_samples
from voicebot.engines.scripted import hum

VOICE_HZ = 22_050


def joined(pieces: Sequence[Pcm]) -> Pcm:
    return np.concatenate([silence(0), *pieces])


def noise(samples: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).uniform(-0.9, 0.9, samples).astype(np.float32)


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=8))
def test_however_it_is_cut_it_sounds_the_same(lengths: list[int]) -> None:
    audio = noise(sum(lengths))
    pieces = np.split(audio, np.cumsum(lengths)[:-1])
    made = joined(list(at_16_khz(iter(pieces), VOICE_HZ, 1.0)))
    np.testing.assert_allclose(made, to_int16(resample(audio, VOICE_HZ)), atol=1)


def test_almost_all_of_a_piece_comes_at_once() -> None:
    first, *_ = at_16_khz(iter([noise(16 * 256)]), VOICE_HZ, 1.0)
    whole = 16 * 256 * 16_000 / VOICE_HZ
    assert whole - samples_from_ms(20) < len(first) < whole


def test_a_voice_of_our_own_rate_passes_with_its_gain_and_is_clipped() -> None:
    audio = np.array([0.1, -0.2, 0.9, 0.0] * 500, np.float32)
    made = joined(list(at_16_khz(iter([audio]), 16_000, 2.0)))
    np.testing.assert_allclose(made, to_int16(2 * audio), atol=1)
    assert made.max() == 32767


def test_silence_in_front_is_cut_but_for_what_is_kept() -> None:
    sound = hum(5000)
    audible = first_audible_sample(sound)
    assert audible is not None
    for quiet in (0, 100, 159, 160, 161, 5000):
        for size in (80, 400, 1000, 20_000):
            audio = joined([silence(quiet), sound])
            trimmer = Trimmer(10)
            pieces = list(trimmer.trim(iter([audio[at : at + size] for at in range(0, len(audio), size)])))
            assert trimmer.taken_samples == len(audio)
            assert trimmer.cut_samples == max(0, quiet + audible - samples_from_ms(10))
            np.testing.assert_array_equal(joined(pieces), audio[trimmer.cut_samples :])
            assert len(pieces[0]) >= samples_from_ms(60)


def test_only_the_beginning_of_the_clause_is_cut() -> None:
    trimmer = Trimmer(10)
    sentence = joined([silence(4000), hum(3000)])
    first, second = (joined(list(trimmer.trim(iter([sentence])))) for _ in range(2))
    assert len(first) < len(second) == 7000
    assert trimmer.taken_samples == 14_000


def test_a_sentence_without_a_sound_is_silence_in_front_of_the_next() -> None:
    trimmer = Trimmer(10)
    assert list(trimmer.trim(iter([silence(4000), silence(1000)]))) == []
    assert trimmer.cut_samples == 5000 - samples_from_ms(10)
    assert len(joined(list(trimmer.trim(iter([hum(3000)]))))) >= 3000


def test_a_sound_shorter_than_a_window_is_not_lost() -> None:
    (piece,) = Trimmer(0).trim(iter([silence(500), hum(100)]))
    assert 90 <= len(piece) <= 100


@pytest.mark.parametrize("quiet", [0, 3000])
def test_where_nothing_is_to_be_cut_all_passes(quiet: int) -> None:
    trimmer = Trimmer(None)
    pieces = [silence(quiet), hum(10), silence(20)]
    assert [len(piece) for piece in trimmer.trim(iter(pieces))] == [quiet, 10, 20]
    assert (trimmer.taken_samples, trimmer.cut_samples) == (quiet + 30, 0)


def test_what_is_certainly_silent_ends_before_the_first_phoneme_on_a_common_instant() -> None:
    assert silent_samples(0, VOICE_HZ) == silent_samples(2205, VOICE_HZ) == 0
    assert silent_samples(2205 + 441, VOICE_HZ) == 441
    assert silent_samples(10_000, VOICE_HZ) == 17 * 441
    assert silent_samples(10_000, 16_000) == 8400


def test_silence_that_was_not_made_counts_as_cut() -> None:
    audio = np.concatenate([np.zeros(4410, np.float32), noise(9000)])
    whole, short = Trimmer(10), Trimmer(10)
    short.skip(1600)
    made = joined(list(whole.trim(at_16_khz(iter([audio]), VOICE_HZ, 1.0))))
    less = joined(list(short.trim(at_16_khz(iter([audio[2205:]]), VOICE_HZ, 1.0))))
    np.testing.assert_allclose(less, made, atol=1)
    assert (short.taken_samples, short.cut_samples) == (whole.taken_samples, whole.cut_samples)
