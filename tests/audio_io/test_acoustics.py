"""The synthetic room: its delay, level and decay are what was asked for, and blocks join without a seam."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import FRAME_SAMPLES, FULL_SCALE, Pcm, level_dbfs, samples_from_ms, silence
from voicebot.audio_io.acoustics import (
    EchoPath,
    EchoSimulator,
    active_speech_dbfs,
    at_level,
    babble,
    white_noise,
)
from voicebot.audio_io.wav import read_wav

QUESTIONS = Path(__file__).parents[2] / "fixtures" / "questions"
PATH = EchoPath(delay_ms=80, gain_db=-4, room_ms=250)


@pytest.fixture(scope="module")
def voices() -> list[Pcm]:
    return [read_wav(path) for path in sorted(QUESTIONS.glob("*.wav"))]


def heard(path: EchoPath, played: Pcm) -> Pcm:
    simulator = EchoSimulator(path)
    return np.concatenate([simulator.feed(block) for block in np.split(played, len(played) // FRAME_SAMPLES)])


@pytest.mark.parametrize("delay_ms", [0, 80, 300])
def test_nothing_arrives_before_the_delay_and_the_direct_sound_right_after_it(delay_ms: float) -> None:
    response = EchoPath(delay_ms, room_ms=250).impulse_response()
    assert np.flatnonzero(response)[0] == np.abs(response).argmax() == samples_from_ms(delay_ms)


@pytest.mark.parametrize("room_ms", [0, 60, 400])
def test_the_gain_is_that_of_the_whole_response(room_ms: float) -> None:
    response = EchoPath(20, -10, room_ms).impulse_response()
    assert 20 * np.log10(np.linalg.norm(response)) == pytest.approx(-10, abs=0.01)


def test_the_tail_falls_by_60_db_over_the_reverberation_time() -> None:
    response = EchoPath(0, room_ms=300).impulse_response().astype(np.float64)[1:]
    early, late = np.split(response, 3)[0], np.split(response, 3)[2]
    assert 20 * np.log10(np.linalg.norm(early) / np.linalg.norm(late)) == pytest.approx(40, abs=2)


def test_another_seed_is_another_room_of_the_same_kind() -> None:
    one, other = (EchoPath(80, seed=seed).impulse_response() for seed in (1, 2))
    assert np.linalg.norm(one - other) > 0.1
    assert np.linalg.norm(one) == pytest.approx(np.linalg.norm(other), rel=1e-4)


def test_blocks_join_to_the_convolution_of_the_whole() -> None:
    played = white_noise(FRAME_SAMPLES * 50, -20)
    whole = np.convolve(played.astype(np.float64), PATH.impulse_response())[: len(played)]
    assert np.abs(heard(PATH, played) - whole).max() <= 1


def test_after_the_tail_the_room_is_silent_until_something_is_played_again() -> None:
    simulator = EchoSimulator(PATH)
    click = np.full(FRAME_SAMPLES, 8000, np.int16)
    first = np.concatenate([simulator.feed(click), *(simulator.feed(silence(FRAME_SAMPLES)) for _ in range(39))])
    length = samples_from_ms(80 + 250) + FRAME_SAMPLES
    assert first[length - FRAME_SAMPLES : length].any()
    assert not first[length + 1 :].any()
    again = np.concatenate([simulator.feed(click), *(simulator.feed(silence(FRAME_SAMPLES)) for _ in range(39))])
    np.testing.assert_array_equal(again, first)


def test_an_echo_that_is_too_loud_is_clipped_and_does_not_wrap() -> None:
    loud = np.full(FRAME_SAMPLES * 4, FULL_SCALE - 1, np.int16)
    assert heard(EchoPath(0, 12, 0), loud).min() == FULL_SCALE - 1


@pytest.mark.parametrize("dbfs", [-60, -40, -20])
def test_noise_has_the_level_that_was_asked_for(voices: list[Pcm], dbfs: float) -> None:
    assert level_dbfs(white_noise(32_000, dbfs)) == pytest.approx(dbfs, abs=0.1)
    assert level_dbfs(babble(voices, 80_000, dbfs)) == pytest.approx(dbfs, abs=0.1)


def test_babble_has_no_pauses_as_one_talker_has(voices: list[Pcm]) -> None:
    def quietest_dbfs(pcm: Pcm) -> float:
        return float(np.percentile([level_dbfs(frame) for frame in np.split(pcm[:80_000], 250)], 5))

    alone = at_level(np.resize(voices[0], 80_000), -30)
    assert quietest_dbfs(babble(voices, 80_000, -30)) > quietest_dbfs(alone) + 12
    assert quietest_dbfs(babble(voices[:1], 80_000, -30)) > quietest_dbfs(alone) + 12


def test_noise_repeats_with_its_seed(voices: list[Pcm]) -> None:
    np.testing.assert_array_equal(babble(voices, 8000, -30, seed=3), babble(voices, 8000, -30, seed=3))
    assert (babble(voices, 8000, -30, seed=3) != babble(voices, 8000, -30, seed=4)).any()


def test_the_level_of_speech_does_not_count_its_pauses(voices: list[Pcm]) -> None:
    voice = at_level(voices[0], -30)
    with_pause = np.concatenate((silence(32_000), voice, silence(32_000)))
    assert active_speech_dbfs(with_pause) == pytest.approx(active_speech_dbfs(voice), abs=0.2)
    assert active_speech_dbfs(voice) > -30
    assert level_dbfs(with_pause) < -33


def test_silence_has_no_level_to_set() -> None:
    assert not at_level(silence(100), -20).any()
