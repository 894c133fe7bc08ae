"""Steady noise and murmur never stand out, whatever their level; a voice ten decibels above them does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Frame, Pcm, silence
from voicebot.audio_io.acoustics import active_speech_dbfs, at_level, babble, white_noise
from voicebot.audio_io.wav import read_wav
from voicebot.pipeline.background import Background

FIXTURES = Path(__file__).parents[2] / "fixtures"
QUESTIONS = ["boil-egg", "capital-of-france", "joke", "moon-fact", "spider", "sum"]


@pytest.fixture(scope="module")
def people() -> list[Pcm]:
    """Eleven clips of at least 2 s, of several voices."""
    clips = [read_wav(path) for path in sorted(FIXTURES.glob("human/*.wav"))]
    return [clip for clip in clips if len(clip) > 2 * SAMPLE_RATE_HZ]


def moments(pcm: Pcm, gaps: range = range(0), *, remembers: bool = False) -> list[bool]:
    """Return for every frame whether it stands out; `remembers`: what stood out goes on."""
    background = Background()
    found: list[bool] = []
    for number, block in enumerate(
        np.split(pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES], len(pcm) // FRAME_SAMPLES)
    ):
        lost = number in gaps
        background.hear(Frame(number * FRAME_SAMPLES, silence(FRAME_SAMPLES) if lost else block, lost))
        found.append(background.stands_out(going_on=remembers and bool(found) and found[-1]))
    return found


def spoken_over(noise: Pcm, clip: Pcm, at_s: float, snr_db: float) -> Pcm:
    """Return a clip over noise of -40 dBFS, so much louder while it is speech."""
    gain = 10 ** ((snr_db - 40 - active_speech_dbfs(clip)) / 20)
    mixed = noise.astype(np.int32)
    start = int(at_s * SAMPLE_RATE_HZ)
    mixed[start : start + len(clip)] += (clip * gain).astype(np.int32)
    return np.clip(mixed, -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("dbfs", [-75, -50, -30])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_always_there_never_stands_out(people: list[Pcm], dbfs: float, seed: int) -> None:
    assert not any(moments(white_noise(20 * SAMPLE_RATE_HZ, dbfs, seed)))
    assert not any(moments(babble(people, 60 * SAMPLE_RATE_HZ, dbfs, seed))[SAMPLE_RATE_HZ // FRAME_SAMPLES :])


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("kind", ["white", "babble"])
def test_a_question_ten_decibels_above_stands_out_for_as_long_as_it_lasts(
    people: list[Pcm], question: str, kind: str
) -> None:
    samples = 16 * SAMPLE_RATE_HZ
    noise = white_noise(samples, -40) if kind == "white" else babble(people, samples, -40)
    clip = read_wav(FIXTURES / "questions" / f"{question}.wav")
    found = np.flatnonzero(moments(spoken_over(noise, clip, 12, snr_db=10))[500:])
    first, last = found[0] * FRAME_SAMPLES, (found[-1] + 1) * FRAME_SAMPLES
    assert 2.0 <= first / SAMPLE_RATE_HZ < 2.2
    assert abs(last - 2 * SAMPLE_RATE_HZ - len(clip)) < 0.3 * SAMPLE_RATE_HZ


def test_a_voice_that_goes_on_has_fewer_holes_in_it(people: list[Pcm]) -> None:
    noise = babble(people, 16 * SAMPLE_RATE_HZ, -40)
    clip = read_wav(FIXTURES / "questions" / "weather-plan.wav")
    once = moments(spoken_over(noise, clip, 12, snr_db=8))
    kept = moments(spoken_over(noise, clip, 12, snr_db=8), remembers=True)
    assert np.abs(np.diff(kept)).sum() < np.abs(np.diff(once)).sum()
    assert sum(kept) > sum(once)
    assert not any(kept[50:590])
    assert not any(kept[int((12 + 0.3) * 50 + len(clip) / FRAME_SAMPLES) :])


def test_in_a_quiet_room_a_voice_stands_out_from_its_first_word_to_its_last() -> None:
    reading = np.concatenate([read_wav(FIXTURES / "human" / f"ps_librivox_0{n}.wav") for n in (870, 890, 920, 930)])
    room = white_noise(2 * SAMPLE_RATE_HZ + len(reading), -65)
    found = moments(spoken_over(room, at_level(reading, -30), 2, snr_db=10))
    assert not any(found[:100])
    assert np.mean(found[115:]) > 0.9  # the rest are pauses


def test_also_when_it_is_the_first_thing_heard() -> None:
    for question in QUESTIONS:
        clip = read_wav(FIXTURES / "questions" / f"{question}.wav")
        assert any(moments(clip)[: int(0.2 * SAMPLE_RATE_HZ) // FRAME_SAMPLES])


def test_nothing_heard_stands_out_from_nothing() -> None:
    assert not Background().stands_out()
    assert not any(moments(silence(SAMPLE_RATE_HZ)))


def test_lost_frames_are_no_quiet_moments(people: list[Pcm]) -> None:
    noise = babble(people, 10 * SAMPLE_RATE_HZ, -40)
    assert not any(moments(noise, gaps=range(200, 250))[250:])
