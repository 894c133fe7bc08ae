"""A stage that nobody waits for goes where all of the work takes the least energy, and does not wander."""

from __future__ import annotations

from collections.abc import Mapping

from tests.cpu.processors import costs, rk3588
from voicebot.cpu.choice import Choice
from voicebot.cpu.demand import Phase, SessionDemand, Stage, Work
from voicebot.cpu.forecast import Forecast
from voicebot.cpu.seats import seats
from voicebot.cpu.settings import PolicySettings
from voicebot.latency.cost import StageCost

HOME = seats(rk3588()).seats
SETTINGS = PolicySettings(idle_hold_s=1.0, slack=0.0)
LITTLE = (0, 1, 2, 3)


def forecast(**changed: StageCost) -> Forecast:
    """A forecast in which some stages cost something else on the little cores."""
    little: dict[tuple[Stage, str], StageCost] = {
        key: changed.get(key[0], cost) for key, cost in costs().items() if key[1] == "policy0"
    }
    return Forecast(rk3588(), {**costs(), **little}, 0.1)


def speaking(due_s: float, phase: Phase = Phase.SPEAKING) -> SessionDemand:
    return SessionDemand("a", phase, (Work("tts", 40),), due_s)


AS_FAST: Mapping[str, StageCost] = {"tts": costs()["tts", "policy4"]}
"""Synthesis that is as fast per GHz on the little cores as on the big ones."""


def test_synthesis_goes_to_the_little_cores_where_that_takes_less() -> None:
    found = Choice().then(forecast(**AS_FAST), HOME, [speaking(10.0)], 0.0, SETTINGS).seats(HOME)
    assert found["tts"].cpus == LITTLE
    assert found["tts"].threads == HOME["tts"].threads
    assert found["slm"] == HOME["slm"]


def test_it_stays_where_the_little_cores_need_so_long_that_they_take_more() -> None:
    slow = StageCost(0.003, 0.2, 0.001, 1.3)
    assert Choice().then(forecast(tts=slow), HOME, [speaking(100.0)], 0.0, SETTINGS).seats(HOME) == HOME


def test_being_in_time_counts_before_energy() -> None:
    in_time_on_big_only = 0.55
    assert Choice().then(forecast(**AS_FAST), HOME, [speaking(in_time_on_big_only)], 0.0, SETTINGS).seats(HOME) == HOME


def test_who_is_waited_for_is_at_home_at_once() -> None:
    away = Choice().then(forecast(**AS_FAST), HOME, [speaking(10.0)], 0.0, SETTINGS)
    back = away.then(forecast(**AS_FAST), HOME, [speaking(10.0, Phase.ANSWERING)], 0.01, SETTINGS)
    assert back.seats(HOME) == HOME


def test_nobody_moves_twice_in_a_hold_time() -> None:
    away = Choice().then(forecast(**AS_FAST), HOME, [speaking(10.0)], 0.0, SETTINGS)
    tight = [speaking(0.9 + 0.55)]
    assert away.then(forecast(**AS_FAST), HOME, tight, 0.9, SETTINGS).seats(HOME)["tts"].cpus == LITTLE
    assert away.then(forecast(**AS_FAST), HOME, tight, 1.0, SETTINGS).seats(HOME) == HOME


def test_without_work_or_deadline_or_costs_everybody_stays() -> None:
    timeless = SessionDemand("a", Phase.SPEAKING, (Work("tts", 40),))
    for known, demands in (
        (forecast(**AS_FAST), []),
        (forecast(**AS_FAST), [timeless]),
        (Forecast(rk3588(), {}, 0.1), [speaking(10.0)]),
    ):
        assert Choice().then(known, HOME, demands, 0.0, SETTINGS).seats(HOME) == HOME
