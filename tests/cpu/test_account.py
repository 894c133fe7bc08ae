"""Joules are shared out, and none is lost."""

from __future__ import annotations

import pytest

from tests.cpu.driven import ended, state
from voicebot.cpu.account import EnergyAccount
from voicebot.cpu.energy import Energy
from voicebot.events import TurnEnergy


class Meter:
    """A box that takes 2 W."""

    def __init__(self) -> None:
        self.joules = 0.0

    def read(self) -> Energy:
        return Energy(self.joules, measured=True)


class Book:
    def __init__(self) -> None:
        self.meter = Meter()
        self.account = EnergyAccount(self.meter, 0.0)

    def take(self, now_s: float, *events: object) -> list[TurnEnergy]:
        self.meter.joules = 2.0 * now_s
        return self.account.take(events, now_s)  # type: ignore[arg-type]


def test_a_turn_takes_what_the_box_takes() -> None:
    book = Book()
    assert book.take(10.0, state("listening")) == []
    assert book.take(12.0, state("pending")) == []
    assert book.take(15.0, ended(), state("idle")) == [TurnEnergy("talk", 1, 10.0, measured=True)]
    book.take(25.0)
    balance = book.account.balance
    assert (balance.joules, balance.turns, balance.turn_joules, balance.idle_w) == (50.0, 1, 10.0, 2.0)


def test_turns_at_the_same_time_share_it() -> None:
    book = Book()
    book.take(0.0, state("listening", "a"))
    book.take(10.0, state("listening", "b"))
    (first,) = book.take(20.0, ended("a", 4), state("idle", "a"))
    (second,) = book.take(30.0, ended("b", 7), state("idle", "b"))
    assert (first.session, first.turn, first.joules) == ("a", 4, 30.0)
    assert (second.session, second.turn, second.joules) == ("b", 7, 30.0)
    assert book.account.balance.idle_w is None


def test_an_interruption_ends_one_turn_and_begins_the_next() -> None:
    book = Book()
    book.take(0.0, state("listening"))
    (first,) = book.take(5.0, ended(turn=1), state("listening"))
    (second,) = book.take(8.0, ended(turn=2), state("idle"))
    assert (first.joules, second.joules) == (10.0, 6.0)


def test_what_was_no_turn_is_dropped() -> None:
    book = Book()
    book.take(0.0, state("listening"))
    assert book.take(5.0, state("idle")) == []
    assert book.take(9.0, ended()) == []
    assert book.account.balance.turns == 0


def test_a_clock_that_went_back_makes_no_idle_time() -> None:
    book = Book()
    book.take(20.0)
    book.account.take((), 1.0)
    assert book.account.balance.idle_w == pytest.approx(2.0)
