"""Pitch, level and change at the end of an utterance: of tones that have known ones, and of recorded speech."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebot.audio import FULL_SCALE, SAMPLE_RATE_HZ, Pcm, samples_from_ms, silence
from voicebot.audio_io.wav import read_wav
from voicebot.engines.prosody import LONGEST_MS, NOTHING, prosody_at_end

FIXTURES = Path(__file__).parents[2] / "fixtures"

Wave = NDArray[np.float64]


def voice(duration_ms: float, hz: float) -> Wave:
    """Return a sound with a pitch and overtones, as a vowel has, with a peak of 1.

    All its periods are the same, so that two of them are as good a period as one; below 130 Hz two are too long.
    """
    phase = np.arange(samples_from_ms(duration_ms)) * (2 * np.pi * hz / SAMPLE_RATE_HZ)
    wave = sum((np.sin(number * phase) / number for number in range(1, 6)), np.zeros(len(phase)))
    return np.asarray(wave / np.abs(wave).max())


def noise(duration_ms: float, dbfs: float) -> Wave:
    """Return white noise of that level, relative to full scale."""
    return np.random.default_rng(1).normal(0, 10 ** (dbfs / 20), samples_from_ms(duration_ms))


def recorded(*parts: Wave, peak: float = 0.3, room_dbfs: float = -80.0) -> Pcm:
    """Return the parts as a microphone has them: in a room that is heard alone for 300 ms before and 130 ms after."""
    wave = np.concatenate([np.zeros(samples_from_ms(300)), *parts, np.zeros(samples_from_ms(130))]) * peak
    wave += noise(len(wave) * 1000 / SAMPLE_RATE_HZ, room_dbfs)
    return (wave.clip(-1, 1) * (FULL_SCALE - 1)).astype(np.int16)


@pytest.mark.parametrize(("middle_hz", "last_hz"), [(100, 100), (120, 80), (80, 120), (125, 100), (70, 128)])
def test_the_last_sound_is_so_many_semitones_from_the_middle(middle_hz: float, last_hz: float) -> None:
    spoken = recorded(voice(800, middle_hz), voice(250, last_hz))
    assert prosody_at_end(spoken).pitch_semitones == pytest.approx(12 * np.log2(last_hz / middle_hz), abs=0.3)


def test_an_unvoiced_end_leaves_the_pitch_of_the_last_voiced_sound() -> None:
    spoken = recorded(voice(800, 120), voice(250, 80), noise(100, -20))
    assert prosody_at_end(spoken).pitch_semitones == pytest.approx(12 * np.log2(80 / 120), abs=0.3)


def test_a_voiced_sound_that_is_long_past_is_no_end() -> None:
    assert prosody_at_end(recorded(voice(500, 120), voice(150, 80), noise(500, -20))).pitch_semitones == 0


def test_the_creak_at_the_very_end_is_no_pitch() -> None:
    spoken = recorded(voice(800, 120), voice(150, 80), voice(50, 160))
    assert prosody_at_end(spoken).pitch_semitones == pytest.approx(12 * np.log2(80 / 120), abs=0.5)


def test_a_sound_that_stops_dead_is_as_loud_as_it_was() -> None:
    assert prosody_at_end(recorded(voice(800, 100))).level_db == pytest.approx(0, abs=2)


@pytest.mark.parametrize("softer_db", [10, 20, 30])
def test_the_level_is_that_of_the_last_sound(softer_db: int) -> None:
    soft = voice(100, 100) * 10 ** (-softer_db / 20)
    assert prosody_at_end(recorded(voice(800, 100), soft)).level_db == pytest.approx(-softer_db, abs=2)


@pytest.mark.parametrize("room_dbfs", [-80, -60, -50])
def test_the_room_is_no_last_sound(room_dbfs: float) -> None:
    assert prosody_at_end(recorded(voice(800, 100), room_dbfs=room_dbfs)).level_db == pytest.approx(0, abs=2)


def test_a_sound_that_is_held_changes_less_than_words_do() -> None:
    words = [voice(60, hz) * gain for hz, gain in ((100, 1.0), (140, 0.3), (90, 0.8), (160, 0.2)) * 3]
    held, spoken_on = recorded(*words, voice(200, 100)), recorded(*words)
    assert prosody_at_end(held).change < 0.5 < prosody_at_end(spoken_on).change


@pytest.mark.parametrize("name", ["ps_tidigits_2934z", "ps_librivox_0870", "ps_librivox_0920", "jfk"])
def test_quiet_round_recorded_speech_changes_nothing(name: str) -> None:
    spoken = read_wav(FIXTURES / "human" / f"{name}.wav")[-samples_from_ms(LONGEST_MS // 2) :]
    later = np.concatenate([silence(samples_from_ms(300)), spoken, silence(samples_from_ms(500))])
    alone, found = prosody_at_end(spoken), prosody_at_end(later)
    assert found.level_db == pytest.approx(alone.level_db, abs=3)
    assert found.change == pytest.approx(alone.change, abs=0.1)
    assert found.pitch_semitones == pytest.approx(alone.pitch_semitones, abs=0.5)


def test_a_question_cut_in_the_middle_of_a_word_ends_as_loud_as_it_was() -> None:
    spoken = read_wav(FIXTURES / "questions" / "joke.wav")
    power = np.convolve(np.square(spoken.astype(np.float64)), np.ones(640), mode="valid")
    assert prosody_at_end(spoken[: int(power.argmax()) + 640]).level_db > 0 > prosody_at_end(spoken).level_db


def test_only_the_last_8_seconds_count() -> None:
    end = recorded(voice(LONGEST_MS, 120), voice(150, 80))[-samples_from_ms(LONGEST_MS) :]
    assert prosody_at_end(np.concatenate([recorded(voice(9000, 70)), end])) == prosody_at_end(end)


def test_loudness_changes_nothing() -> None:
    loud, quiet = (recorded(voice(800, 120), voice(150, 80), peak=peak) for peak in (0.9, 0.03))
    assert prosody_at_end(loud).level_db == pytest.approx(prosody_at_end(quiet).level_db, abs=0.5)
    assert prosody_at_end(loud).pitch_semitones == pytest.approx(prosody_at_end(quiet).pitch_semitones, abs=0.1)


@pytest.mark.parametrize(
    "pcm",
    [silence(0), silence(1), np.full(1, 9, np.int16), silence(SAMPLE_RATE_HZ), np.full(639, -FULL_SCALE, np.int16)],
    ids=["nothing", "one zero", "one sample", "silence", "less than a frame"],
)
def test_where_there_is_no_utterance_there_is_nothing_to_measure(pcm: Pcm) -> None:
    assert prosody_at_end(pcm) == NOTHING


@pytest.mark.parametrize("dbfs", [-90, -50, -10])
def test_noise_has_no_pitch(dbfs: float) -> None:
    heard = (noise(1000, dbfs) * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    assert prosody_at_end(heard).pitch_semitones == 0


@pytest.mark.parametrize("samples", [640, 641, 1279])
def test_the_shortest_utterances_have_no_prosody(samples: int) -> None:
    tone = (voice(100, 100)[:samples] * FULL_SCALE / 4).astype(np.int16)
    assert prosody_at_end(tone) == NOTHING


def test_audio_of_one_value_or_one_click_has_numbers_too() -> None:
    click = silence(SAMPLE_RATE_HZ)
    click[8000] = click[9000] = 32_767
    for pcm in (np.full(SAMPLE_RATE_HZ, -FULL_SCALE, np.int16), click):
        found = prosody_at_end(pcm)
        assert np.isfinite([found.pitch_semitones, found.level_db, found.change]).all()
