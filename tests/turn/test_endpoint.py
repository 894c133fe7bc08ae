"""Endpointing by hand: chunks of 10 ms (160 samples) with a probability each."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from voicebot.turn.endpoint import Endpointer, EndpointRules, VoiceEvent
from voicebot.turn.table import TurnEvent

CHUNK = 160
RULES = EndpointRules(
    speech_probability=0.5,
    silence_probability=0.3,
    onset_ms=30,
    confirm_ms=100,
    soft_end_ms=50,
    end_of_turn_ms=200,
    longest_turn_ms=2000,
)
STARTED, CONFIRMED = TurnEvent.SPEECH_STARTED, TurnEvent.SPEECH_CONFIRMED
SOFT_END, END = TurnEvent.SOFT_END, TurnEvent.END_OF_TURN


class Microphone:
    """Feeds an endpointer chunk by chunk and keeps when each event came and what it was about, both in chunks."""

    def __init__(self) -> None:
        self.endpointer = Endpointer(RULES)
        self.chunks = 0
        self.events: list[tuple[TurnEvent, int, float]] = []

    def hear(self, probabilities: Iterable[float]) -> list[TurnEvent]:
        """Return the events that came meanwhile."""
        before = len(self.events)
        for probability in probabilities:
            start = self.chunks * CHUNK
            self.chunks += 1
            found = self.endpointer.hear(start, self.chunks * CHUNK, probability)
            self.events += [(event.event, self.chunks, event.at_sample / CHUNK) for event in found]
        return [event for event, _, _ in self.events[before:]]

    def speech(self, chunks: int) -> list[TurnEvent]:
        return self.hear([1.0] * chunks)

    def silence(self, chunks: int) -> list[TurnEvent]:
        return self.hear([0.0] * chunks)


@pytest.fixture
def microphone() -> Microphone:
    return Microphone()


def test_a_turn_begins_is_confirmed_pauses_and_ends_on_the_chunk(microphone: Microphone) -> None:
    microphone.silence(7)
    microphone.speech(20)
    microphone.silence(30)
    assert microphone.events == [
        (STARTED, 7 + 3, 7),
        (CONFIRMED, 7 + 10, 7),
        (SOFT_END, 27 + 5, 27),
        (END, 27 + 20, 27),
    ]
    assert microphone.endpointer.speech_end_sample == 27 * CHUNK


def test_silence_says_nothing(microphone: Microphone) -> None:
    assert microphone.silence(1000) == []
    assert not microphone.endpointer.near_speech


def test_a_click_shorter_than_the_onset_is_no_speech(microphone: Microphone) -> None:
    assert microphone.hear([1, 1, 0] * 50) == []


def test_the_onset_is_counted_anew_after_every_dip(microphone: Microphone) -> None:
    microphone.hear([1, 1, 0.49, 1, 1, 1])
    assert microphone.events == [(STARTED, 6, 3)]


def test_a_cough_starts_and_softly_ends_but_is_not_confirmed(microphone: Microphone) -> None:
    assert microphone.speech(5) + microphone.silence(20) == [STARTED, SOFT_END, END]


def test_each_burst_of_speech_is_confirmed_by_itself(microphone: Microphone) -> None:
    burst = [1.0] * 7 + [0.0] * 6
    assert CONFIRMED not in microphone.hear(burst * 5)
    assert microphone.hear([1.0] * 10) == [STARTED, CONFIRMED]


def test_an_onset_as_long_as_the_confirmation_confirms_at_once() -> None:
    rules = EndpointRules(0.5, 0.3, 100, 100, 50, 200, 2000)
    assert Endpointer(rules).hear(0, 1600, 1.0) == [VoiceEvent(STARTED, 0), VoiceEvent(CONFIRMED, 0)]


def test_between_the_two_thresholds_speech_goes_on_but_does_not_begin(microphone: Microphone) -> None:
    assert microphone.hear([0.4] * 50) == []
    microphone.speech(10)
    assert microphone.hear([0.4] * 50) == []
    assert microphone.endpointer.speaking
    assert microphone.silence(5) == [SOFT_END]


def test_a_wavering_probability_neither_pauses_nor_begins_again(microphone: Microphone) -> None:
    microphone.speech(10)
    assert microphone.hear([0.0, 0.0, 0.35, 0.0, 0.0, 0.9] * 20) == []


def test_a_probability_on_a_threshold_counts_as_above_it(microphone: Microphone) -> None:
    assert microphone.hear([0.5] * 3) == [STARTED]
    assert microphone.hear([0.3] * 20) == [CONFIRMED]


def test_speech_after_the_soft_end_resumes_the_turn(microphone: Microphone) -> None:
    microphone.speech(20)
    assert microphone.silence(19) == [SOFT_END]
    assert microphone.speech(20) == [STARTED, CONFIRMED]
    assert microphone.silence(20) == [SOFT_END, END]


def test_the_end_of_turn_waits_while_speech_may_be_beginning(microphone: Microphone) -> None:
    microphone.speech(20)
    assert microphone.silence(18) == [SOFT_END]
    assert microphone.speech(2) == []
    assert microphone.silence(1) == [END]
    assert microphone.events[-1] == (END, 41, 20)


def test_the_turn_is_ended_once(microphone: Microphone) -> None:
    microphone.speech(20)
    microphone.silence(20)
    assert not microphone.endpointer.near_speech
    assert microphone.silence(500) == []


def test_the_detector_is_needed_from_the_first_rise_to_the_end_of_turn(microphone: Microphone) -> None:
    needed = []
    for probability in [0.0, *[1.0] * 3, *[0.0] * 21]:
        microphone.hear([probability])
        needed.append(microphone.endpointer.near_speech)
    assert needed == [False, *[True] * 22, False, False]


def test_the_longest_turn_is_ended_in_the_middle_of_speech(microphone: Microphone) -> None:
    microphone.silence(10)
    microphone.speech(199)
    assert microphone.speech(1) == [SOFT_END, END]
    assert microphone.events[-1] == (END, 210, 210)
    assert not microphone.endpointer.speaking


def test_who_goes_on_after_the_longest_turn_begins_again(microphone: Microphone) -> None:
    microphone.speech(200)
    assert microphone.speech(10) == [STARTED, CONFIRMED]
    assert microphone.events[-1] == (CONFIRMED, 210, 200)


def test_the_longest_turn_counts_its_pauses(microphone: Microphone) -> None:
    for _ in range(6):
        microphone.speech(20)
        assert microphone.silence(10) == [SOFT_END]
    assert microphone.speech(20) == [STARTED, CONFIRMED, SOFT_END, END]
