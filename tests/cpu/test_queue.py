"""What is due first goes first, and nobody waits for ever."""

from __future__ import annotations

from voicebot.cpu.demand import Phase, SessionDemand, Situation, Work
from voicebot.cpu.queue import Queue
from voicebot.cpu.settings import PolicySettings

SETTINGS = PolicySettings(patience_s=5.0, total_budget_s=0.7)


def demand(name: str, due_s: float | None, phase: Phase = Phase.SPEAKING) -> SessionDemand:
    return SessionDemand(name, phase, (Work("tts", 10),), due_s)


def order(queue: Queue, *demands: SessionDemand, now_s: float = 0.0) -> list[str]:
    return [each.session for each in queue.then(Situation(now_s, demands), SETTINGS).demands]


def test_the_earliest_deadline_goes_first_and_what_has_none_last() -> None:
    assert order(Queue(), demand("none", None), demand("late", 3.0), demand("soon", 1.0)) == ["soon", "late", "none"]


def test_a_session_without_work_waits_for_nothing() -> None:
    assert order(Queue(), SessionDemand("idle", Phase.IDLE), demand("busy", 1.0)) == ["busy"]


def test_an_answer_is_due_within_the_budget_from_when_its_work_was_known() -> None:
    queue = Queue().then(Situation(10.0, (demand("a", None, Phase.ANSWERING),)), SETTINGS)
    queue = queue.then(Situation(10.5, (demand("a", None, Phase.ANSWERING),)), SETTINGS)
    assert [each.due_s for each in queue.demands] == [10.7]


def test_newer_work_does_not_starve_older() -> None:
    queue = Queue()
    for step in range(100):
        now_s = step / 10
        newest = demand(f"new {step}", now_s + 0.1)
        queue = queue.then(Situation(now_s, (demand("old", None), newest)), SETTINGS)
        assert (queue.demands[0].session == "old") == (now_s + 0.1 > SETTINGS.patience_s)


def test_another_phase_is_other_work() -> None:
    queue = Queue().then(Situation(0.0, (demand("a", None, Phase.LISTENING),)), SETTINGS)
    queue = queue.then(Situation(4.0, (demand("a", None),)), SETTINGS)
    assert queue.waiting["a"].since_s == 4.0


def test_a_clock_that_went_back_makes_nobody_wait_longer() -> None:
    queue = Queue().then(Situation(1e6, (demand("a", None),)), SETTINGS)
    assert order(queue, demand("a", None), demand("b", 5.5), now_s=0.0) == ["a", "b"]
