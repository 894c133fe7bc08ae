"""WebRTC's audio processing for real: in a synthetic room, with people's voices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import FRAME_SAMPLES, SAMPLE_RATE_HZ, Pcm, level_dbfs, silence
from voicebot.audio_io.acoustics import EchoPath, EchoSimulator, active_speech_dbfs, at_level, white_noise
from voicebot.audio_io.wav import read_wav
from voicebot.config.pipeline import HearingSettings
from voicebot.engines.webrtc_audio import EchoCanceller, Enhancer

HUMAN = Path(__file__).parents[2] / "fixtures" / "human"
ROOM = EchoPath(delay_ms=80, gain_db=-4, room_ms=250)


@pytest.fixture(scope="module")
def speaker() -> Pcm:
    """What is played: 10 s of somebody speaking."""
    clips = [read_wav(HUMAN / f"ps_librivox_{number}.wav") for number in ("0870", "0890")]
    return at_level(np.concatenate(clips)[: 10 * SAMPLE_RATE_HZ], -25)


@pytest.fixture(scope="module")
def voice() -> Pcm:
    """Who speaks into the microphone."""
    return at_level(read_wav(HUMAN / "ps_something.wav"), -25)


def by_frames(process: Callable[..., Pcm], *signals: Pcm) -> Pcm:
    count = len(signals[0]) // FRAME_SAMPLES
    blocks = zip(*(np.split(signal[: count * FRAME_SAMPLES], count) for signal in signals), strict=True)
    return np.concatenate([process(*parts) for parts in blocks])


def echo_of(played: Pcm, path: EchoPath = ROOM) -> Pcm:
    return by_frames(EchoSimulator(path).feed, played)


def over(*signals: Pcm) -> Pcm:
    """Return signals at the same time, with the noise of a quiet room; the later ones end the mix."""
    mixed = white_noise(len(signals[0]), -70).astype(np.int32)
    for signal in signals:
        mixed[-len(signal) :] += signal
    return np.clip(mixed, -32768, 32767).astype(np.int16)


def after(pcm: Pcm, seconds: float) -> Pcm:
    return pcm[int(seconds * SAMPLE_RATE_HZ) :]


@pytest.mark.parametrize("delay_ms", [2, 80, 300])
def test_an_echo_is_taken_out(speaker: Pcm, delay_ms: float) -> None:
    echo = echo_of(speaker, EchoPath(delay_ms, -4, 250))
    left = by_frames(EchoCanceller().cancel, over(echo), speaker)
    assert level_dbfs(after(left, 2)) < level_dbfs(after(echo, 2)) - 25


def test_from_the_first_frame_on(speaker: Pcm) -> None:
    echo = echo_of(speaker)
    left = by_frames(EchoCanceller().cancel, over(echo), speaker)
    assert level_dbfs(left[:SAMPLE_RATE_HZ]) < level_dbfs(echo[:SAMPLE_RATE_HZ]) - 20


def test_a_voice_over_the_echo_stays(speaker: Pcm, voice: Pcm) -> None:
    left = by_frames(EchoCanceller().cancel, over(echo_of(speaker), voice), speaker)[-len(voice) :]
    assert active_speech_dbfs(left) > active_speech_dbfs(voice) - 3
    alone = by_frames(EchoCanceller().cancel, over(echo_of(speaker)), speaker)[-len(voice) :]
    assert level_dbfs(left) > level_dbfs(alone) + 15


def test_an_echo_before_its_reference_stays(speaker: Pcm) -> None:
    early = np.concatenate((echo_of(speaker)[FRAME_SAMPLES * 7 :], silence(FRAME_SAMPLES * 7)))
    left = by_frames(EchoCanceller().cancel, over(early), speaker)
    assert level_dbfs(after(left, 2)) > level_dbfs(after(early, 2)) - 6


def test_after_a_reset_it_learns_another_room_at_once(speaker: Pcm) -> None:
    canceller = EchoCanceller()
    by_frames(canceller.cancel, over(echo_of(speaker)), speaker)
    elsewhere = echo_of(speaker, EchoPath(200, -4, 250, seed=2))
    canceller.reset()
    left = by_frames(canceller.cancel, over(elsewhere), speaker)
    assert level_dbfs(left) < level_dbfs(elsewhere) - 20


def test_it_answers_with_as_much_as_it_was_given() -> None:
    for samples in (160, 320, 1600):
        assert len(EchoCanceller().cancel(silence(samples), silence(samples))) == samples


def test_the_stronger_the_suppression_the_less_noise_is_left(voice: Pcm) -> None:
    noise = white_noise(3 * SAMPLE_RATE_HZ, -40)
    left = [
        level_dbfs(after(by_frames(Enhancer(HearingSettings(noise_suppression=level)).enhance, noise), 2))
        for level in ("low", "moderate", "high")
    ]
    assert -40 - 4 > left[0] > left[1] + 3 > left[2] + 6
    enhanced = by_frames(Enhancer(HearingSettings(noise_suppression="high")).enhance, over(voice))
    assert active_speech_dbfs(enhanced) == pytest.approx(active_speech_dbfs(voice), abs=2)


def test_gain_control_brings_a_distant_voice_near(voice: Pcm) -> None:
    distant = over(np.concatenate((at_level(voice, -45), at_level(voice, -45))))
    enhanced = by_frames(Enhancer(HearingSettings(gain_control=True)).enhance, distant)
    assert active_speech_dbfs(after(enhanced, 3)) > active_speech_dbfs(distant) + 10


def test_after_a_reset_the_gain_begins_anew(voice: Pcm) -> None:
    distant = over(at_level(voice, -45))
    enhancer = Enhancer(HearingSettings(gain_control=True))
    first = by_frames(enhancer.enhance, distant)
    enhancer.reset()
    np.testing.assert_array_equal(by_frames(enhancer.enhance, distant), first)
