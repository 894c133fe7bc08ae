"""The listener: what the detector is shown, when it sleeps, and what follows for the turn."""

from __future__ import annotations

import numpy as np
import pytest

from voicebot.audio import FRAME_SAMPLES, Frame, Pcm, samples_from_ms, silence
from voicebot.config.pipeline import EndpointSettings, SpeculationSettings
from voicebot.engines.scripted import LoudnessDetector, hum
from voicebot.pipeline.listen import Listener
from voicebot.pipeline.rules import activity_rules
from voicebot.turn.activity import VoiceEvent
from voicebot.turn.table import TurnEvent

SETTINGS = EndpointSettings(gate_hangover_ms=200, ceiling_ms=700)
SIGN, FADED = TurnEvent.SPEECH_SIGN, TurnEvent.SIGN_FADED
STARTED, CONFIRMED = TurnEvent.SPEECH_STARTED, TurnEvent.SPEECH_CONFIRMED
SOFT_END, END = TurnEvent.SOFT_END, TurnEvent.END_OF_TURN


class CountingDetector(LoudnessDetector):
    """Takes loud chunks for speech, and keeps what it was shown."""

    def __init__(self, chunk_samples: int = 512, *, deaf: bool = False) -> None:
        super().__init__(chunk_samples)
        self.seen: list[Pcm] = []
        self.resets = 0
        self._deaf = deaf

    def probability(self, pcm: Pcm) -> float:
        assert len(pcm) == self.chunk_samples
        self.seen.append(pcm)
        return 0.0 if self._deaf else super().probability(pcm)

    def reset(self) -> None:
        self.resets += 1


class Microphone:
    def __init__(self, detector: CountingDetector, settings: EndpointSettings = SETTINGS) -> None:
        self.detector = detector
        rules = activity_rules(settings, SpeculationSettings())
        self.listener = Listener(LoudnessDetector(FRAME_SAMPLES), detector, rules, settings.gate_hangover_ms)
        self.at_sample = 0

    def hear(self, pcm: Pcm, *, echo: bool = False) -> list[VoiceEvent]:
        """Hear audio frame by frame; return all that happened, but for signs of speech."""
        return [heard for heard in self.hear_all(pcm, echo=echo) if heard.event not in {SIGN, FADED}]

    def hear_all(self, pcm: Pcm, *, echo: bool = False) -> list[VoiceEvent]:
        events: list[VoiceEvent] = []
        for begin in range(0, len(pcm), FRAME_SAMPLES):
            frame = Frame(self.at_sample, pcm[begin : begin + FRAME_SAMPLES])
            events += self.listener.hear(frame, echo=echo)
            self.at_sample = frame.end_sample
        return events

    def silence_ms(self, duration_ms: int) -> list[TurnEvent]:
        return [heard.event for heard in self.hear(silence(samples_from_ms(duration_ms)))]

    def speech_ms(self, duration_ms: int) -> list[TurnEvent]:
        return [heard.event for heard in self.hear(hum(samples_from_ms(duration_ms)))]


@pytest.fixture
def microphone() -> Microphone:
    return Microphone(CountingDetector())


def test_the_detector_sleeps_in_silence(microphone: Microphone) -> None:
    assert microphone.silence_ms(60_000) == []
    assert microphone.detector.seen == []


def test_an_utterance_is_followed_from_its_start_to_its_end(microphone: Microphone) -> None:
    microphone.silence_ms(1000)
    events = microphone.hear(np.concatenate((hum(samples_from_ms(800)), silence(samples_from_ms(1000)))))
    assert [heard.event for heard in events] == [STARTED, CONFIRMED, SOFT_END, END]
    began, ended = events[0].at_sample, events[-1].at_sample
    chunk = microphone.detector.chunk_samples
    assert abs(began - samples_from_ms(1000)) <= chunk
    assert abs(ended - samples_from_ms(1800)) <= chunk
    assert microphone.listener.activity.speech_end_sample == ended


def test_after_the_turn_the_detector_sleeps_again(microphone: Microphone) -> None:
    microphone.silence_ms(1000)
    microphone.speech_ms(800)
    assert microphone.silence_ms(1000) == [SOFT_END, END]
    calls = len(microphone.detector.seen)
    microphone.silence_ms(60_000)
    assert len(microphone.detector.seen) == calls


def test_it_stays_awake_through_the_turn_even_when_the_gate_closes_early() -> None:
    settings = EndpointSettings(gate_hangover_ms=100, unknown_ms=700, ceiling_ms=900)
    microphone = Microphone(CountingDetector(), settings)
    microphone.silence_ms(1000)
    microphone.speech_ms(500)
    assert microphone.silence_ms(880) == [SOFT_END]
    assert microphone.speech_ms(500) == [STARTED, CONFIRMED]
    assert microphone.silence_ms(1000) == [SOFT_END, END]


def test_it_sleeps_again_when_the_gate_opened_for_nothing() -> None:
    microphone = Microphone(CountingDetector(deaf=True))
    microphone.silence_ms(1000)
    microphone.speech_ms(100)
    assert microphone.silence_ms(60_000) == []
    judged_ms = len(microphone.detector.seen) * 32
    before_ms, hangover_ms = 4 * 32, 200
    assert 0 <= before_ms + 100 + hangover_ms - judged_ms <= 20 + 32


def test_a_fresh_detector_sees_a_little_of_what_was_before(microphone: Microphone) -> None:
    microphone.silence_ms(1000)
    assert microphone.detector.resets == 0
    microphone.speech_ms(100)
    assert microphone.detector.resets == 1
    shown = np.concatenate(microphone.detector.seen)
    assert not shown[: 4 * 512].any()
    assert shown[4 * 512 :].any()


def test_it_wakes_anew_for_each_utterance(microphone: Microphone) -> None:
    for _ in range(3):
        microphone.speech_ms(500)
        microphone.silence_ms(2000)
    assert microphone.detector.resets == 3


@pytest.mark.parametrize("chunk", [160, 320, 512, 1024])
def test_while_awake_the_detector_sees_every_sample_once(chunk: int) -> None:
    microphone = Microphone(CountingDetector(chunk))
    sound = np.arange(1, FRAME_SAMPLES * 100 + 1, dtype=np.int32) % 30_000 + 1000
    microphone.hear(sound.astype(np.int16))
    shown = np.concatenate(microphone.detector.seen)
    np.testing.assert_array_equal(shown, sound[: len(shown)])
    assert len(sound) - len(shown) < chunk


def test_what_is_always_there_is_no_speech_and_what_is_louder_is(microphone: Microphone) -> None:
    murmur = hum(samples_from_ms(5000)) // 8
    assert microphone.hear(murmur) == []
    loud = murmur.copy()
    loud[samples_from_ms(1000) : samples_from_ms(1600)] *= 8
    assert [heard.event for heard in microphone.hear(loud)] == [STARTED, CONFIRMED, SOFT_END, END]


def test_the_first_sign_of_speech_comes_with_the_first_loud_chunk_and_fades(microphone: Microphone) -> None:
    microphone.silence_ms(1000)
    events = microphone.hear_all(np.concatenate((hum(samples_from_ms(30)), silence(samples_from_ms(200)))))
    assert [heard.event for heard in events] == [SIGN, FADED]
    assert abs(events[0].at_sample - samples_from_ms(1000)) <= microphone.detector.chunk_samples


class FaintDetector(CountingDetector):
    """Is only fairly sure of loud chunks."""

    def probability(self, pcm: Pcm) -> float:
        return 0.7 * super().probability(pcm)


def test_what_may_be_our_own_voice_has_to_be_surer() -> None:
    microphone = Microphone(FaintDetector())
    microphone.silence_ms(1000)
    sound = np.concatenate((hum(samples_from_ms(600)), silence(samples_from_ms(1000))))
    assert [heard.event for heard in microphone.hear_all(sound, echo=True)] == [SIGN, FADED]
    assert [heard.event for heard in microphone.hear_all(sound)] == [SIGN, STARTED, CONFIRMED, SOFT_END, END]


def test_the_audio_of_an_utterance_can_be_taken_back(microphone: Microphone) -> None:
    microphone.silence_ms(1000)
    spoken = hum(samples_from_ms(600))
    microphone.hear(spoken)
    taken = microphone.listener.utterance(samples_from_ms(900), samples_from_ms(1600))
    np.testing.assert_array_equal(taken, np.concatenate((silence(samples_from_ms(100)), spoken)))


def test_the_longest_turn_is_kept_whole_with_its_pre_roll() -> None:
    microphone = Microphone(CountingDetector(), EndpointSettings(longest_turn_ms=2000))
    microphone.silence_ms(1000)
    assert microphone.speech_ms(1980) == [STARTED, CONFIRMED]
    assert microphone.speech_ms(20 + 32)[:2] == [SOFT_END, END]
    begin = samples_from_ms(1000 - 320)
    assert len(microphone.listener.utterance(begin, microphone.at_sample)) == microphone.at_sample - begin
