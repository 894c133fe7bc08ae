"""When speech begins, pauses and ends, chunk by chunk."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.turn.microphone import CHUNK, CONFIRMED, END, FADED, RULES, SIGN, SOFT_END, STARTED, Microphone
from voicebot.turn.activity import VoiceActivity, VoiceEvent


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


def test_what_is_taken_for_no_speech_begins_anew_where_it_goes_on(microphone: Microphone) -> None:
    microphone.speech(100)
    microphone.activity.begin_anew()
    assert not microphone.activity.near_speech
    assert microphone.speech(10) == [STARTED, CONFIRMED]
    assert microphone.events[-1] == (CONFIRMED, 110, 100)
    assert microphone.silence(20) == [SOFT_END, END]


def test_what_was_taken_for_no_speech_and_ends_ends_nothing(microphone: Microphone) -> None:
    microphone.speech(100)
    microphone.activity.begin_anew()
    assert microphone.silence(100) == []


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
