"""The delay of an echo, found in the signals: right when there is one, and never made up from a voice or noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm, samples_from_ms, silence
from voicebot.audio_io.acoustics import EchoPath, EchoSimulator, white_noise
from voicebot.audio_io.wav import read_wav
from voicebot.pipeline.echo_delay import EARLIEST_SAMPLES, LATEST_SAMPLES, EchoDelay

HUMAN = Path(__file__).parents[2] / "fixtures" / "human"
WINDOW = samples_from_ms(320)
WITHIN = samples_from_ms(3)


@pytest.fixture(scope="module")
def played() -> Pcm:
    clips = [read_wav(HUMAN / f"ps_librivox_{number}.wav") for number in ("0870", "0890")]
    return np.concatenate(clips)[: 10 * SAMPLE_RATE_HZ]


@pytest.fixture(scope="module")
def voices() -> Pcm:
    """Other people, 10 s of them."""
    clips = [read_wav(path) for path in sorted(HUMAN.glob("ps_[cgs]*.wav"))]
    return np.concatenate(clips)[: 10 * SAMPLE_RATE_HZ]


def echo_of(played: Pcm, delay_ms: float, gain_db: float = -4) -> Pcm:
    """Return the echo in a room; with a negative delay it comes before what is played."""
    simulator = EchoSimulator(EchoPath(max(0, delay_ms), gain_db, 250))
    echo = np.concatenate([simulator.feed(block) for block in np.split(played, len(played) // FRAME_SAMPLES)])
    early = samples_from_ms(max(0, -delay_ms))
    return np.concatenate((echo[early:], silence(early)))


def plus(*signals: Pcm) -> Pcm:
    return np.asarray(np.clip(np.sum(signals, axis=0), -32768, 32767), np.int16)


def quiet(samples: int) -> Pcm:
    return white_noise(samples, -65)


def follow(delay: EchoDelay, heard: Pcm, played: Pcm) -> list[int]:
    """Let it look at every whole window; return after how many windows it said that the delay had changed."""
    padded = np.concatenate((silence(LATEST_SAMPLES), played, silence(-EARLIEST_SAMPLES)))
    around = WINDOW + LATEST_SAMPLES - EARLIEST_SAMPLES
    return [
        number + 1
        for number, at in enumerate(range(0, len(heard) - WINDOW, WINDOW))
        if delay.follow(heard[at : at + WINDOW], padded[at : at + around])
    ]


@pytest.mark.parametrize("delay_ms", [-400, -100, -10, 0, 80, 300, 500, 900])
def test_a_delay_is_found_within_two_seconds_and_then_kept(played: Pcm, delay_ms: float) -> None:
    delay = EchoDelay()
    changes = follow(delay, plus(echo_of(played, delay_ms), quiet(len(played))), played)
    assert len(changes) == 1
    assert changes[0] * WINDOW < 2 * SAMPLE_RATE_HZ + max(0, samples_from_ms(delay_ms))
    assert delay.samples == pytest.approx(samples_from_ms(delay_ms), abs=WITHIN)


def test_also_under_a_voice(played: Pcm, voices: Pcm) -> None:
    delay = EchoDelay()
    assert len(follow(delay, plus(echo_of(played, 120), voices, quiet(len(played))), played)) == 1
    assert delay.samples == pytest.approx(samples_from_ms(120), abs=WITHIN)


def test_also_when_it_is_faint(played: Pcm) -> None:
    delay = EchoDelay()
    follow(delay, plus(echo_of(played, 120, gain_db=-30), quiet(len(played))), played)
    assert delay.samples == pytest.approx(samples_from_ms(120), abs=WITHIN)


def test_a_change_under_way_is_noticed(played: Pcm) -> None:
    half = len(played) // 2 // FRAME_SAMPLES * FRAME_SAMPLES
    echo = np.concatenate((echo_of(played, 80)[:half], echo_of(played, 250)[half:]))
    delay = EchoDelay()
    changes = follow(delay, plus(echo, quiet(len(played))), played)
    assert len(changes) == 2
    assert 0 < changes[1] * WINDOW - half < 2 * SAMPLE_RATE_HZ
    assert delay.samples == pytest.approx(samples_from_ms(250), abs=WITHIN)


def test_other_voices_and_noise_are_no_echo(played: Pcm, voices: Pcm) -> None:
    for heard in (voices, quiet(len(played)), white_noise(len(played), -30), silence(len(played))):
        delay = EchoDelay()
        assert follow(delay, heard, played) == []
        assert delay.samples is None


def test_silence_played_is_heard_nowhere(voices: Pcm) -> None:
    delay = EchoDelay()
    assert follow(delay, voices, silence(len(voices))) == []


def shares_found(delay: EchoDelay, heard: Pcm, played: Pcm, window: int) -> float:
    begin = LATEST_SAMPLES
    found = [
        delay.found_in(heard[at : at + window], played[at - LATEST_SAMPLES : at + window - EARLIEST_SAMPLES])
        for at in range(begin, len(heard) - window + EARLIEST_SAMPLES, window)
    ]
    return float(np.mean(found))


def test_at_a_known_delay_a_tenth_of_a_second_tells_an_echo_from_a_voice(played: Pcm, voices: Pcm) -> None:
    delay = EchoDelay()
    echo = plus(echo_of(played, 80), quiet(len(played)))
    follow(delay, echo, played)
    assert shares_found(delay, echo, played, samples_from_ms(100)) > 0.6
    assert shares_found(delay, voices, played, samples_from_ms(100)) < 0.05
    assert shares_found(delay, echo, played, samples_from_ms(320)) > 0.9
    assert shares_found(delay, voices, played, samples_from_ms(320)) < 0.05


def test_a_clear_echo_is_found_before_its_delay_is_known(played: Pcm, voices: Pcm) -> None:
    delay = EchoDelay()
    assert shares_found(delay, plus(echo_of(played, 80), quiet(len(played))), played, WINDOW) > 0.6
    assert shares_found(delay, voices, played, WINDOW) < 0.05
