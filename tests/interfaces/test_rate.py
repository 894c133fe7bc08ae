from __future__ import annotations

from voicebot.interfaces.rate import Rate


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time_s = 100.0

    def now_s(self) -> float:
        return self.time_s


def test_so_many_a_second_and_no_more_after_a_long_pause() -> None:
    clock = Hands()
    rate = Rate(3, clock)
    assert [rate.take() for _ in range(5)] == [True, True, True, False, False]
    clock.time_s += 0.5
    assert [rate.take() for _ in range(2)] == [True, False]
    clock.time_s += 3600
    assert [rate.take() for _ in range(4)] == [True, True, True, False]


def test_less_than_one_a_second() -> None:
    clock = Hands()
    rate = Rate(0.1, clock)
    assert [rate.take(), rate.take()] == [True, False]
    clock.time_s += 10
    assert rate.take()
