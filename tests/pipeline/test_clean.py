"""The front end in a synthetic room: it hears who speaks, and not itself, whatever the delay does."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from voicebot.audio import (
    FRAME_SAMPLES,
    SAMPLE_RATE_HZ,
    Frame,
    Pcm,
    level_dbfs,
    ms_from_samples,
    samples_from_ms,
    silence,
)
from voicebot.audio_io.acoustics import EchoPath, EchoSimulator, active_speech_dbfs, at_level, white_noise
from voicebot.audio_io.playback import PlaybackBuffer
from voicebot.audio_io.wav import read_wav
from voicebot.config.pipeline import HearingSettings
from voicebot.engines.silero import SileroDetector
from voicebot.pipeline.clean import FrontEnd

HUMAN = Path(__file__).parents[2] / "fixtures" / "human"


@pytest.fixture(scope="module")
def reply() -> Pcm:
    """What the assistant says: 10 s."""
    clips = [read_wav(HUMAN / f"ps_librivox_{number}.wav") for number in ("0870", "0890")]
    return at_level(np.concatenate(clips)[: 10 * SAMPLE_RATE_HZ], -25)


@pytest.fixture(scope="module")
def voice() -> Pcm:
    """What the user says: 3 s."""
    return at_level(read_wav(HUMAN / "ps_something.wav"), -25)


def echo_of(played: Pcm, delay_ms: float, seed: int = 1) -> Pcm:
    """Return the echo in a room; with a negative delay the device plays sooner than it says."""
    simulator = EchoSimulator(EchoPath(max(0, delay_ms), -4, 250, seed))
    echo = np.concatenate([simulator.feed(block) for block in np.split(played, len(played) // FRAME_SAMPLES)])
    early = samples_from_ms(max(0, -delay_ms))
    return np.concatenate((echo[early:], silence(early)))


def microphone(*sounds: tuple[float, Pcm], seconds: float = 10) -> Pcm:
    """Return sounds that begin at so many seconds, in a quiet room."""
    mixed = white_noise(int(seconds * SAMPLE_RATE_HZ), -70).astype(np.int32)
    for at_s, pcm in sounds:
        start = int(at_s * SAMPLE_RATE_HZ)
        end = min(len(mixed), start + len(pcm))
        mixed[start:end] += pcm[: end - start]
    return np.clip(mixed, -32768, 32767).astype(np.int16)


@dataclass
class Conversation:
    """A front end whose speaker plays `played` from sample 0 on, pulled `ahead` frames before it is heard."""

    played: Pcm
    ahead: int = 8
    settings: HearingSettings = field(default_factory=HearingSettings)

    def __post_init__(self) -> None:
        self.playback = PlaybackBuffer()
        self.playback.push("reply", self.played)
        self.front_end = FrontEnd(self.playback, self.settings)
        self.given: list[Frame] = []
        self.returned: list[Frame] = []

    def hear(
        self,
        heard: Pcm,
        gaps: Collection[int] = (),
        look: Callable[[int], None] = lambda _: None,
    ) -> Pcm:
        """Return the microphone's audio, cleaned. `look` is called after each frame."""
        pulled = 0
        for number, pcm in enumerate(np.split(heard, len(heard) // FRAME_SAMPLES)):
            while pulled <= number + self.ahead:
                self.playback.pull(pulled * FRAME_SAMPLES, FRAME_SAMPLES)
                pulled += 1
            lost = number in gaps
            frame = Frame(number * FRAME_SAMPLES, silence(FRAME_SAMPLES) if lost else pcm, lost)
            self.given.append(frame)
            self.returned.append(self.front_end.clean(frame))
            look(frame.end_sample)
        return np.concatenate([frame.pcm for frame in self.returned])

    def untouched_from(self, begin_s: float) -> bool:
        """Return whether every frame from there on was returned as it was given."""
        first = int(begin_s * SAMPLE_RATE_HZ) // FRAME_SAMPLES
        pairs = zip(self.given[first:], self.returned[first:], strict=True)
        return all(given is returned for given, returned in pairs)


def between(pcm: Pcm, begin_s: float, end_s: float) -> Pcm:
    return pcm[int(begin_s * SAMPLE_RATE_HZ) : int(end_s * SAMPLE_RATE_HZ)]


def reduction_db(echo: Pcm, left: Pcm, begin_s: float, end_s: float) -> float:
    """Return the echo return loss enhancement over a stretch."""
    return level_dbfs(between(echo, begin_s, end_s)) - level_dbfs(between(left, begin_s, end_s))


def longest_speech_ms(pcm: Pcm) -> float:
    """Return how long Silero is sure of speech at a stretch."""
    detector = SileroDetector()
    longest = run = 0
    for at in range(0, len(pcm) - detector.chunk_samples, detector.chunk_samples):
        run = run + 1 if detector.probability(pcm[at : at + detector.chunk_samples]) > 0.5 else 0
        longest = max(longest, run)
    return ms_from_samples(longest * detector.chunk_samples)


def test_while_nothing_plays_a_frame_passes_as_it_is(voice: Pcm) -> None:
    conversation = Conversation(silence(0))
    conversation.hear(microphone((0, voice), seconds=3))
    assert conversation.untouched_from(0)
    assert not conversation.front_end.playing


@pytest.mark.parametrize("ahead", [0, 8])
def test_the_assistant_does_not_hear_itself(reply: Pcm, ahead: int) -> None:
    echo = echo_of(reply, 80)
    conversation = Conversation(reply, ahead)
    leaks: list[bool] = []
    left = conversation.hear(microphone((0, echo)), look=lambda _: leaks.append(conversation.front_end.leaking))
    assert longest_speech_ms(echo) > 500
    assert longest_speech_ms(left) < 64
    assert reduction_db(echo, left, 0, 2) > 15
    assert reduction_db(echo, left, 2, 10) > 25
    assert not any(leaks)
    assert conversation.front_end.echo_delay_samples == pytest.approx(samples_from_ms(80), abs=samples_from_ms(3))


def test_a_voice_over_the_reply_is_heard_and_known_for_a_voice(reply: Pcm, voice: Pcm) -> None:
    conversation = Conversation(reply)
    judged: list[bool] = []

    def judge(end_sample: int) -> None:
        if end_sample % samples_from_ms(160) == 0 and end_sample > 4.5 * SAMPLE_RATE_HZ:
            judged.append(conversation.front_end.is_echo(end_sample - samples_from_ms(160), end_sample))

    left = conversation.hear(microphone((0, echo_of(reply, 80)), (4.5, voice), seconds=7), look=judge)
    assert active_speech_dbfs(between(left, 4.5, 7)) > active_speech_dbfs(voice) - 3
    assert sum(judged) <= len(judged) // 10


def test_the_canceller_rests_a_second_after_the_last_sound(reply: Pcm) -> None:
    short = reply[: 3 * SAMPLE_RATE_HZ]
    conversation = Conversation(short)
    conversation.hear(microphone((0, echo_of(short, 80)), seconds=6))
    until = conversation.playback.sounding_until + SAMPLE_RATE_HZ
    for given, returned in zip(conversation.given, conversation.returned, strict=True):
        assert (given is returned) == (given.start_sample >= until)


def test_with_headphones_a_short_word_is_not_swallowed(reply: Pcm) -> None:
    word = read_wav(HUMAN.parent / "clips" / "stop.wav")
    conversation = Conversation(reply)
    conversation.hear(microphone((0.8, word), (3, word), (6, word)))
    assert conversation.untouched_from(0.7)
    assert conversation.front_end.echo_delay_samples is None


def test_beside_a_fan_headphones_are_found_out_too(reply: Pcm, voice: Pcm) -> None:
    fan = white_noise(len(reply), -45)
    conversation = Conversation(reply)
    conversation.hear(microphone((0, fan), (4, voice)))
    assert conversation.untouched_from(2)


@pytest.mark.parametrize("delay_ms", [-100, -10, 0, 300, 450, 700])
def test_a_device_that_is_wrong_about_its_delay_is_found_out(reply: Pcm, delay_ms: float) -> None:
    echo = echo_of(reply, delay_ms)
    conversation = Conversation(reply)
    left = conversation.hear(microphone((0, echo)))
    assert conversation.front_end.echo_delay_samples == pytest.approx(samples_from_ms(delay_ms), abs=samples_from_ms(3))
    assert reduction_db(echo, left, 3, 10) > 20


@pytest.mark.parametrize(("before_ms", "after_ms"), [(80, 20), (80, 250), (300, 60), (80, -60), (60, 600)])
def test_another_device_under_way_is_noticed(reply: Pcm, before_ms: float, after_ms: float) -> None:
    half = len(reply) // 2
    before, after = echo_of(reply, before_ms), echo_of(reply, after_ms, seed=2)
    echo = np.concatenate((before[:half], after[half:]))
    left = Conversation(reply).hear(microphone((0, echo)))
    assert reduction_db(echo, left, 2, 5) > 20
    assert reduction_db(echo, left, 7, 10) > 20
    assert longest_speech_ms(between(left, 5, 10)) < 640


def test_what_is_left_of_the_reply_is_known_for_echo(reply: Pcm) -> None:
    """The device plays 100 ms early, so the first third of a second is not cancelled."""
    conversation = Conversation(reply)
    front_end = conversation.front_end
    judged: dict[int, tuple[bool, bool]] = {}

    def judge(end_sample: int) -> None:
        judged[end_sample] = (front_end.leaking, front_end.is_echo(end_sample - samples_from_ms(160), end_sample))

    conversation.hear(microphone((0, echo_of(reply, -100)), seconds=4), look=judge)
    assert judged[samples_from_ms(320)] == (True, True)
    assert judged[samples_from_ms(4000)] == (False, False)


@pytest.mark.parametrize("lost", [1, 10, 50])
def test_lost_frames_leave_the_echo_where_it_was(reply: Pcm, lost: int) -> None:
    echo = echo_of(reply, 80)
    conversation = Conversation(reply)
    gap = range(150, 150 + lost)
    left = conversation.hear(microphone((0, echo)), gaps=gap)
    after_s = gap.stop * FRAME_SAMPLES / SAMPLE_RATE_HZ
    assert reduction_db(echo, left, after_s, after_s + 1) > 20
    assert all(
        returned.gap == given.gap for given, returned in zip(conversation.given, conversation.returned, strict=True)
    )


def test_a_second_reply_is_cancelled_from_its_first_word_and_a_voice_over_it_heard(reply: Pcm, voice: Pcm) -> None:
    first, second = between(reply, 0, 3), between(reply, 3, 8)
    played = np.concatenate((first, silence(3 * SAMPLE_RATE_HZ), second))
    echo = echo_of(played, 80)
    alone = Conversation(played).hear(microphone((0, echo), seconds=11))
    assert reduction_db(echo, alone, 6, 7) > 20
    left = Conversation(played).hear(microphone((0, echo), (6.3, voice), seconds=11))
    assert active_speech_dbfs(between(left, 6.3, 9.3)) > active_speech_dbfs(voice) - 4


def test_switched_off_it_passes_everything_on(reply: Pcm) -> None:
    conversation = Conversation(reply, settings=HearingSettings(echo_cancellation=False))
    conversation.hear(microphone((0, echo_of(reply, 80)), seconds=2))
    assert conversation.untouched_from(0)
    assert conversation.front_end.playing
    assert not conversation.front_end.is_echo(0, SAMPLE_RATE_HZ)


def test_noise_is_suppressed_whether_something_plays_or_not(reply: Pcm) -> None:
    short = reply[: 2 * SAMPLE_RATE_HZ]
    noise = white_noise(6 * SAMPLE_RATE_HZ, -40)
    conversation = Conversation(short, settings=HearingSettings(noise_suppression="high"))
    left = conversation.hear(microphone((0, noise), (0, echo_of(short, 80)), seconds=6))
    assert level_dbfs(between(left, 1.5, 2)) < -50
    assert level_dbfs(between(left, 4, 6)) < -50
