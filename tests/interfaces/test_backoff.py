"""Waits between attempts."""

from __future__ import annotations

import random

import pytest

from voicebot.interfaces.backoff import Backoff


def chance(seed: int = 1) -> random.Random:
    return random.Random(seed)  # noqa: S311 - it guards nothing


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(1, 60, chance())
    bounds = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    for bound in bounds:
        assert bound / 2 <= backoff.next_s() <= bound


def test_it_begins_again_after_a_success() -> None:
    backoff = Backoff(1, 60, chance())
    for _ in range(10):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() <= 1


def test_no_two_boxes_come_back_together() -> None:
    assert len({Backoff(1, 60, chance(seed)).next_s() for seed in range(20)}) == 20


def test_by_itself_it_takes_chance() -> None:
    assert Backoff(1, 60).next_s() == pytest.approx(0.75, abs=0.25)
