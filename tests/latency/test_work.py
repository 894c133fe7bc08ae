"""What the stages spent, and what of it was for nothing: each request counted once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.latency.work import Work, WorkLedger, charged_to


@pytest.fixture
def ledger() -> WorkLedger:
    return WorkLedger()


def test_nothing_spent_is_nothing_wasted(ledger: WorkLedger) -> None:
    assert (ledger.cpu_s, ledger.wasted_cpu_s, ledger.wasted_share) == (0, 0, 0)


def test_what_is_used_is_not_wasted(ledger: WorkLedger) -> None:
    Work(ledger).charge(2.0, cancelled=False)
    assert (ledger.cpu_s, ledger.wasted_cpu_s) == (2, 0)


def test_what_was_cancelled_is_wasted(ledger: WorkLedger) -> None:
    work = Work(ledger)
    work.charge(3.0, cancelled=False)
    work.charge(1.0, cancelled=True)
    assert (ledger.cpu_s, ledger.wasted_cpu_s, ledger.wasted_share) == (4, 1, 0.25)


def test_what_is_dropped_is_wasted_once(ledger: WorkLedger) -> None:
    work = Work(ledger)
    work.charge(3.0, cancelled=False)
    work.charge(1.0, cancelled=True)
    for _ in range(2):
        work.drop()
        assert (ledger.cpu_s, ledger.wasted_cpu_s) == (4, 4)


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_cost_that_is_told_after_the_work_was_dropped_is_wasted_once(ledger: WorkLedger, cancelled: bool) -> None:
    work = Work(ledger)
    work.drop()
    work.charge(2.0, cancelled=cancelled)
    work.drop()
    assert (ledger.cpu_s, ledger.wasted_cpu_s) == (2, 2)


def test_dropping_one_leaves_the_others(ledger: WorkLedger) -> None:
    kept, dropped = Work(ledger), Work(ledger)
    kept.charge(1.0, cancelled=False)
    dropped.charge(2.0, cancelled=False)
    dropped.drop()
    assert (ledger.cpu_s, ledger.wasted_cpu_s) == (3, 2)


def test_outside_a_session_nobody_is_charged() -> None:
    assert charged_to.get() is None


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 10), st.sampled_from(["used", "cancelled", "dropped"]))))
def test_no_more_is_wasted_than_was_spent(happened: list[tuple[int, float, str]]) -> None:
    ledger = WorkLedger()
    works = [Work(ledger) for _ in range(4)]
    for number, cpu_s, what in happened:
        if what == "dropped":
            works[number].drop()
        else:
            works[number].charge(cpu_s, cancelled=what == "cancelled")
    assert 0 <= ledger.wasted_cpu_s <= ledger.cpu_s * (1 + 1e-9)
    assert 0 <= ledger.wasted_share <= 1 + 1e-9
    assert ledger.cpu_s == pytest.approx(sum(cpu_s for _, cpu_s, what in happened if what != "dropped"))
