from __future__ import annotations

import math
from functools import cache

import pytest

from voicebot.sim.chip import rk3588, x86_8core
from voicebot.sim.costs import SLM_1_5B, SMOLLM2_135M
from voicebot.sim.run import REGIMES, Outcome, idle_watts, simulate


@cache
def talk(regime: str, users: int = 1) -> Outcome:
    return simulate(rk3588(), SLM_1_5B, regime, users, 120.0, seed=3)


def test_the_same_seed_is_the_same_to_the_last_bit() -> None:
    again = simulate(rk3588(), SLM_1_5B, "schedutil", 2, 120.0, seed=3)
    assert again == talk("schedutil", 2)
    assert again.voice_to_voice_ms != simulate(rk3588(), SLM_1_5B, "schedutil", 2, 120.0, seed=4).voice_to_voice_ms


@pytest.mark.parametrize("regime", REGIMES)
def test_everybody_is_answered_whatever_sets_the_frequencies(regime: str) -> None:
    outcome = talk(regime)
    assert outcome.regime == regime
    assert len(outcome.turns) >= 4
    assert 200 < outcome.quantile_ms(0.5) <= outcome.quantile_ms(0.95) < 4000
    assert outcome.turns[0].begin_s == talk("performance").turns[0].begin_s


def test_the_top_is_fastest_and_the_bottom_takes_the_least() -> None:
    top, bottom = talk("performance"), talk("powersave")
    assert top.mean_ms < talk("fixed-70%").mean_ms < bottom.mean_ms
    assert top.joules_per_turn > talk("fixed-70%").joules_per_turn > bottom.joules_per_turn
    assert top.active_joules_per_turn < top.joules_per_turn


def test_an_hour_without_anybody_costs_the_idle_watts() -> None:
    outcome = simulate(rk3588(), SLM_1_5B, "schedutil", 0, 3600.0)
    assert outcome.turns == []
    assert math.isnan(outcome.mean_ms)
    assert outcome.package_j == pytest.approx(3600 * idle_watts(rk3588(), SLM_1_5B, REGIMES["schedutil"]), rel=1e-3)
    assert outcome.mean_w == pytest.approx(outcome.idle_w, rel=1e-3)


def test_the_policy_is_asked_and_the_kernel_is_not() -> None:
    assert talk("voicebot").decisions > 100
    assert talk("schedutil").decisions == 0


def test_what_is_needed_for_plots_is_there() -> None:
    outcome = simulate(x86_8core(), SMOLLM2_135M, "schedutil", 1, 60.0, detail_s=(5.0, 30.0))
    assert [sample.time_s for sample in outcome.samples] == [float(second) for second in range(61)]
    assert all(5.0 <= sample.time_s < 30.0 for sample in outcome.detail)
    assert {khz for sample in outcome.detail for khz in sample.khz.values()} >= {1_400_000, 4_000_000}
    assert {"listening", "answering", "speaking"} <= {phase for sample in outcome.detail for phase in sample.phases}
    assert {span.stage for span in outcome.spans} == {"asr", "slm_read", "slm", "tts", "turn"}
    assert outcome.mean_c < outcome.hottest_c


def test_many_users_are_slower_and_hotter_than_one() -> None:
    one, many = talk("schedutil"), talk("schedutil", 6)
    assert many.mean_ms > one.mean_ms
    assert many.hottest_c > one.hottest_c
    assert set(many.by_session) == {f"user-{user}" for user in range(1, 7)}
    assert many.unfairness >= 1.0
