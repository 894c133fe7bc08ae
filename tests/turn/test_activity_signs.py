"""The first signs of speech, what our own voice may be, and what is too soft to be any."""

from __future__ import annotations

from tests.turn.microphone import CHUNK, CONFIRMED, END, FADED, SIGN, SOFT_END, STARTED, Microphone
from voicebot.turn.table import TurnEvent


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
