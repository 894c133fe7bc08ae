"""How long a silence pauses a turn, and how long a silence ends it."""

from __future__ import annotations

import pytest

from tests.turn.microphone import CONFIRMED, END, SOFT_END, STARTED, Microphone


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
