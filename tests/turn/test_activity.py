"""Voice activity by hand: chunks of 10 ms (160 samples) with a probability each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.audio import ms_from_samples
from voicebot.turn.activity import ActivityRules, VoiceActivity, VoiceEvent
from voicebot.turn.table import TurnEvent

CHUNK = 160
RULES = ActivityRules(
    sign_probability=0.4,
    speech_probability=0.5,
    silence_probability=0.3,
    echo_probability=0.8,
    silence_drop_db=20.0,
    onset_ms=30,
    confirm_ms=100,
    soft_end_ms=50,
    longest_silence_ms=200,
    longest_turn_ms=2000,
)
SIGN, FADED = TurnEvent.SPEECH_SIGN, TurnEvent.SIGN_FADED
STARTED, CONFIRMED = TurnEvent.SPEECH_STARTED, TurnEvent.SPEECH_CONFIRMED
SOFT_END, END = TurnEvent.SOFT_END, TurnEvent.END_OF_TURN


class Microphone:
    """Feeds voice activity chunk by chunk and keeps when each event came and what it was about, both in chunks."""

    def __init__(self, rules: ActivityRules = RULES) -> None:
        self.activity = VoiceActivity(rules)
        self.chunks = 0
        self.events: list[tuple[TurnEvent, int, float]] = []

    def hear(self, probabilities: Iterable[float], *, level_dbfs: float = 0.0, echo: bool = False) -> list[TurnEvent]:
        """Return the events that came meanwhile, but for signs of speech."""
        before = len(self.events)
        for probability in probabilities:
            start = self.chunks * CHUNK
            self.chunks += 1
            self._keep(self.activity.hear(start, self.chunks * CHUNK, probability, level_dbfs, echo=echo))
        return [event for event, _, _ in self.events[before:] if event not in {SIGN, FADED}]

    def speech(self, chunks: int) -> list[TurnEvent]:
        return self.hear([1.0] * chunks)

    def silence(self, chunks: int) -> list[TurnEvent]:
        return self.hear([0.0] * chunks)

    def need_silence(self, chunks: float) -> list[TurnEvent]:
        return self._keep(self.activity.need_silence(ms_from_samples(round(chunks * CHUNK))))

    def _keep(self, found: list[VoiceEvent]) -> list[TurnEvent]:
        self.events += [(event.event, self.chunks, event.at_sample / CHUNK) for event in found]
        return [event.event for event in found]


@pytest.fixture
def microphone() -> Microphone:
    return Microphone()


def test_a_turn_begins_is_confirmed_pauses_and_ends_on_the_chunk(microphone: Microphone) -> None:
    microphone.silence(7)
    microphone.speech(20)
    microphone.silence(30)
    assert microphone.events == [
        (SIGN, 7 + 1, 7),
        (STARTED, 7 + 3, 7),
        (CONFIRMED, 7 + 10, 7),
        (SOFT_END, 27 + 5, 27),
        (END, 27 + 20, 27),
    ]
    assert microphone.activity.speech_end_sample == 27 * CHUNK


def test_silence_says_nothing(microphone: Microphone) -> None:
    assert microphone.silence(1000) == []
    assert microphone.events == []
    assert not microphone.activity.near_speech


def test_a_click_shorter_than_the_onset_is_no_speech(microphone: Microphone) -> None:
    assert microphone.hear([1, 1, 0] * 50) == []


def test_the_onset_is_counted_anew_after_every_dip(microphone: Microphone) -> None:
    assert microphone.hear([1, 1, 0.49, 1, 1, 1]) == [STARTED]
    assert microphone.events[-1] == (STARTED, 6, 3)


def test_a_cough_starts_and_softly_ends_but_is_not_confirmed(microphone: Microphone) -> None:
    assert microphone.speech(5) + microphone.silence(20) == [STARTED, SOFT_END, END]


def test_each_burst_of_speech_is_confirmed_by_itself(microphone: Microphone) -> None:
    burst = [1.0] * 7 + [0.0] * 6
    assert CONFIRMED not in microphone.hear(burst * 5)
    assert microphone.hear([1.0] * 10) == [STARTED, CONFIRMED]


def test_an_onset_as_long_as_the_confirmation_confirms_at_once() -> None:
    activity = VoiceActivity(replace(RULES, onset_ms=100))
    found = activity.hear(0, 1600, 1.0)
    assert found == [VoiceEvent(SIGN, 0), VoiceEvent(STARTED, 0), VoiceEvent(CONFIRMED, 0)]


def test_between_the_two_thresholds_speech_goes_on_but_does_not_begin(microphone: Microphone) -> None:
    assert microphone.hear([0.45] * 50) == []
    microphone.speech(10)
    assert microphone.hear([0.45] * 50) == []
    assert microphone.activity.speaking
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
    assert not microphone.activity.near_speech
    assert microphone.silence(500) == []


def test_the_detector_is_needed_from_the_first_sign_to_the_end_of_turn(microphone: Microphone) -> None:
    needed = []
    for probability in [0.0, 0.4, *[1.0] * 3, *[0.0] * 21]:
        microphone.hear([probability])
        needed.append(microphone.activity.near_speech)
    assert needed == [False, *[True] * 23, False, False]


def test_the_longest_turn_is_ended_in_the_middle_of_speech(microphone: Microphone) -> None:
    microphone.silence(10)
    microphone.speech(199)
    assert microphone.speech(1) == [SOFT_END, END]
    assert microphone.events[-1] == (END, 210, 210)
    assert not microphone.activity.speaking


def test_who_goes_on_after_the_longest_turn_begins_again(microphone: Microphone) -> None:
    microphone.speech(200)
    assert microphone.speech(10) == [STARTED, CONFIRMED]
    assert microphone.events[-1] == (CONFIRMED, 210, 200)


def test_the_longest_turn_counts_its_pauses(microphone: Microphone) -> None:
    for _ in range(6):
        microphone.speech(20)
        assert microphone.silence(10) == [SOFT_END]
    assert microphone.speech(20) == [STARTED, CONFIRMED, SOFT_END, END]


def test_what_was_heard_before_the_turn_does_not_count_for_its_length(microphone: Microphone) -> None:
    microphone.speech(150)
    microphone.silence(10)
    microphone.speech(10)
    microphone.activity.turn_began(160 * CHUNK)
    assert microphone.speech(189) == []
    assert microphone.speech(1) == [SOFT_END, END]


def test_a_turn_that_has_ended_does_not_begin_again(microphone: Microphone) -> None:
    microphone.speech(20)
    microphone.silence(20)
    microphone.activity.turn_began(0)
    assert not microphone.activity.near_speech
    assert microphone.silence(100) == []


class TestSigns:
    def test_one_chunk_is_a_sign_and_it_fades_after_the_onset(self, microphone: Microphone) -> None:
        microphone.hear([0.0, 0.4, *[0.0] * 20])
        assert microphone.events == [(SIGN, 2, 1), (FADED, 5, 5)]

    def test_a_sign_that_goes_on_is_one_sign(self, microphone: Microphone) -> None:
        microphone.hear([0.4, 0.0, 0.0, 0.4, 0.4, 0.0, 0.0, 0.0])
        assert microphone.events == [(SIGN, 1, 0), (FADED, 8, 8)]

    def test_a_sign_that_becomes_speech_does_not_fade(self, microphone: Microphone) -> None:
        microphone.hear([0.4, 1.0, 1.0, 1.0, *[0.0] * 25])
        assert microphone.events == [(SIGN, 1, 0), (STARTED, 4, 1), (SOFT_END, 9, 4), (END, 24, 4)]

    def test_each_beginning_has_its_sign(self, microphone: Microphone) -> None:
        microphone.hear(([1.0] * 5 + [0.0] * 10) * 3)
        assert [event for event, _, _ in microphone.events].count(SIGN) == 3

    def test_what_is_below_the_threshold_is_no_sign(self, microphone: Microphone) -> None:
        microphone.hear([0.39] * 100)
        assert microphone.events == []
        assert not microphone.activity.near_speech


class TestLevel:
    """A stretch far below the voice before it is silence, whatever the detector still believes."""

    def speak(
        self, microphone: Microphone, chunks: int, level_dbfs: float, probability: float = 1.0
    ) -> list[TurnEvent]:
        return microphone.hear([probability] * chunks, level_dbfs=level_dbfs)

    def test_a_pause_is_known_before_the_detector_believes_it(self, microphone: Microphone) -> None:
        assert self.speak(microphone, 20, -20) == [STARTED, CONFIRMED]
        assert self.speak(microphone, 5, -45) == [SOFT_END]
        assert microphone.activity.speech_end_sample == 20 * CHUNK

    def test_soft_sounds_are_no_pause(self, microphone: Microphone) -> None:
        self.speak(microphone, 20, -20)
        assert self.speak(microphone, 50, -39) == []

    def test_a_cry_is_forgotten_while_somebody_speaks_on(self, microphone: Microphone) -> None:
        self.speak(microphone, 20, -39)
        self.speak(microphone, 1, 0)
        assert self.speak(microphone, 4, -39) == []
        for _ in range(3):
            self.speak(microphone, 1, -19)
            assert SOFT_END not in self.speak(microphone, 4, -39)
        self.speak(microphone, 70, -19)
        assert self.speak(microphone, 20, -39) == []

    def test_how_loud_an_earlier_turn_was_does_not_matter(self, microphone: Microphone) -> None:
        self.speak(microphone, 20, -10)
        self.speak(microphone, 20, -70, 0.0)
        assert self.speak(microphone, 10, -50) == [STARTED, CONFIRMED]


class TestEcho:
    """While our own voice may be in the microphone more is asked of a beginning, and nothing more of its end."""

    def test_what_would_be_speech_is_a_sign(self, microphone: Microphone) -> None:
        microphone.hear([0.79] * 20, echo=True)
        assert microphone.events == [(SIGN, 1, 0)]

    def test_what_would_be_a_sign_is_nothing(self, microphone: Microphone) -> None:
        microphone.hear([0.49] * 20, echo=True)
        assert microphone.events == []

    def test_what_is_surely_speech_begins(self, microphone: Microphone) -> None:
        assert microphone.hear([0.8] * 10, echo=True) == [STARTED, CONFIRMED]

    def test_speech_goes_on_at_the_usual_threshold(self, microphone: Microphone) -> None:
        microphone.hear([0.8] * 10, echo=True)
        assert microphone.hear([0.3] * 30, echo=True) == []
        assert microphone.hear([0.29] * 5, echo=True) == [SOFT_END]


class TestNeededSilence:
    """What ends the turn is the silence that the evidence asks for, as soon as it has passed."""

    @pytest.mark.parametrize("chunks", [6, 9, 19])
    def test_the_turn_ends_when_so_much_silence_has_passed(self, microphone: Microphone, chunks: int) -> None:
        microphone.speech(20)
        microphone.silence(5)
        assert microphone.need_silence(chunks) == []
        assert microphone.silence(chunks - 6) == []
        assert microphone.silence(1) == [END]
        assert microphone.events[-1] == (END, 20 + chunks, 20)

    @pytest.mark.parametrize("late", [0, 1, 7])
    def test_it_ends_at_once_when_more_has_passed_already(self, microphone: Microphone, late: int) -> None:
        microphone.speech(20)
        microphone.silence(8 + late)
        assert microphone.need_silence(8) == [END]
        assert microphone.events[-1] == (END, 28 + late, 20)
        assert microphone.silence(100) == []
        assert not microphone.activity.near_speech

    def test_more_evidence_may_ask_for_more_or_for_less(self, microphone: Microphone) -> None:
        microphone.speech(20)
        microphone.silence(5)
        for chunks in (10, 18, 12):
            assert microphone.need_silence(chunks) == []
        assert microphone.silence(6) == []
        assert microphone.silence(1) == [END]

    def test_never_more_than_the_longest(self, microphone: Microphone) -> None:
        microphone.speech(20)
        microphone.silence(5)
        microphone.need_silence(1000)
        assert microphone.silence(14) == []
        assert microphone.silence(1) == [END]

    def test_it_waits_while_speech_may_be_beginning(self, microphone: Microphone) -> None:
        microphone.speech(20)
        microphone.silence(10)
        microphone.speech(2)
        assert microphone.need_silence(6) == []
        assert microphone.silence(1) == [END]

    def test_it_is_for_the_pause_at_hand(self, microphone: Microphone) -> None:
        microphone.speech(20)
        microphone.silence(5)
        microphone.need_silence(19)
        assert microphone.speech(20) == [STARTED, CONFIRMED]
        assert microphone.silence(19) == [SOFT_END]
        assert microphone.silence(1) == [END]

    def test_outside_a_turn_nothing_ends(self, microphone: Microphone) -> None:
        assert microphone.need_silence(0) == []
        microphone.speech(20)
        microphone.silence(20)
        assert microphone.need_silence(0) == []

    def test_while_somebody_speaks_nothing_ends(self, microphone: Microphone) -> None:
        microphone.speech(20)
        assert microphone.need_silence(0) == []
        assert microphone.speech(10) == []


def test_a_later_soft_end_is_a_longer_silence(microphone: Microphone) -> None:
    microphone.speech(20)
    microphone.activity.set_soft_end(80)
    assert microphone.silence(7) == []
    assert microphone.silence(1) == [SOFT_END]


def test_a_soft_end_later_than_the_end_of_the_turn_comes_first(microphone: Microphone) -> None:
    microphone.activity.set_soft_end(300)
    microphone.speech(20)
    assert microphone.silence(31) == [SOFT_END, END]


STRETCHES = st.lists(
    st.tuples(
        st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
        st.integers(1, 25),
        st.booleans(),
        st.none() | st.integers(0, 30),
    ),
    max_size=40,
)
LEGAL_AFTER = {
    None: {STARTED},
    STARTED: {CONFIRMED, SOFT_END},
    CONFIRMED: {SOFT_END},
    SOFT_END: {STARTED, END},
    END: {STARTED},
}


@given(STRETCHES)
def test_events_come_in_the_order_that_the_turn_table_expects(
    stretches: list[tuple[float, int, bool, int | None]],
) -> None:
    """Each start is followed by at most one confirmation and one soft end, and a turn ends once, in silence."""
    microphone = Microphone()
    for probability, chunks, echo, needed in stretches:
        microphone.hear([probability] * chunks, echo=echo)
        if needed is not None:
            microphone.need_silence(needed)
    steps = [event for event, _, _ in microphone.events if event not in {SIGN, FADED}]
    for before, after in pairwise([None, *steps]):
        assert after in LEGAL_AFTER[before]
    signs = [event for event, _, _ in microphone.events if event in {SIGN, FADED, STARTED}]
    for before_sign, after_sign in pairwise([FADED, *signs]):
        assert (after_sign is SIGN) == (before_sign is not SIGN)  # a sign comes of nothing, and becomes something
    assert all(about <= at for _, at, about in microphone.events)


@given(STRETCHES)
def test_silence_lets_the_detector_sleep(stretches: list[tuple[float, int, bool, int | None]]) -> None:
    microphone = Microphone()
    for probability, chunks, echo, _ in stretches:
        microphone.hear([probability] * chunks, echo=echo)
    microphone.silence(21)
    assert not microphone.activity.near_speech
    assert not microphone.activity.speaking
