"""The comparison of governors, and where one stands against the others."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from voicebot.cpu.policy import PolicySettings
from voicebot.errors import UsageError
from voicebot.sim.chip import PARAMETERS, Chip, rk3588, x86_8core
from voicebot.sim.compare import GAINS, Row, Standing, front, judge, regimes, without
from voicebot.sim.costs import SLM_1_5B, SMOLLM2_135M
from voicebot.sim.crowd import Crowd, ceiling
from voicebot.sim.run import simulate
from voicebot.sim.sensitivity import variations
from voicebot.sim.study import Question, first_turn, study


def row(name: str, p95_ms: float, turn_j: float) -> Row:
    return Row(name, 10, p95_ms, p95_ms, p95_ms, turn_j, turn_j, 0.5, 40.0, 50.0, 0, 0.0, 0, 0.0)


OTHERS = [row("fast", 1000, 40), row("middle", 1200, 30), row("dominated", 1300, 35), row("slow", 2000, 20)]


def test_the_front_leaves_out_who_is_worse_in_both() -> None:
    assert [each.name for each in front(OTHERS)] == ["fast", "middle", "slow"]
    assert [each.name for each in front([row("a", 1000, 40), row("b", 1000, 30)])] == ["b"]


@pytest.mark.parametrize(
    ("p95_ms", "turn_j", "standing", "saving"),
    [
        (1100, 34, Standing.BEYOND, 1 - 34 / 35),
        (1100, 36, Standing.ON, 1 - 36 / 35),
        (1250, 36, Standing.BEHIND, 1 - 36 / (30 - 10 * 50 / 800)),
        (900, 90, Standing.BEYOND, math.nan),
        (2500, 19, Standing.BEYOND, 0.05),
        (2500, 21, Standing.BEHIND, -0.05),
        (1200, 30, Standing.ON, 0.0),
    ],
)
def test_where_it_stands_against_the_front(p95_ms: float, turn_j: float, standing: Standing, saving: float) -> None:
    verdict = judge(row("ours", p95_ms, turn_j), OTHERS)
    assert verdict.standing is standing
    assert verdict.saving == pytest.approx(saving, nan_ok=True)
    assert verdict.p95["fast"] == pytest.approx(p95_ms / 1000 - 1)
    assert verdict.energy["slow"] == pytest.approx(turn_j / 20 - 1)


def test_without_others_there_is_nothing_to_judge_by() -> None:
    with pytest.raises(ValueError, match="nothing"):
        judge(row("ours", 1000, 30), [])


def test_the_sweep_has_every_frequency_between_the_ends() -> None:
    names = [regime.name for regime in regimes(rk3588())]
    assert names[:4] == ["voicebot", "performance", "schedutil", "schedutil-seated"]
    assert names[4:7] == ["schedutil-no-est", "ondemand", "powersave"]
    assert names[7:] == [f"fixed:{mhz}000" for mhz in (1416, 1608, 1800, 2016, 2208)]
    assert [each.name for each in regimes(x86_8core(), ["fixed:3000000", "fixed:3000000"])] == ["fixed:3000000"]


def test_a_fixed_frequency_is_that_of_every_cluster_that_has_it() -> None:
    fast, slow = (
        simulate(rk3588(), SLM_1_5B, regimes(rk3588(), [name])[0], 1, 60) for name in ("fixed:2208000", "fixed:1416000")
    )
    assert fast.samples[-1].khz == {"policy0": 1_800_000, "policy4": 2_208_000, "policy6": 2_208_000}
    assert slow.samples[-1].khz == {"policy0": 1_416_000, "policy4": 1_416_000, "policy6": 1_416_000}


@pytest.mark.parametrize("name", ["fast", "fixed:", "fixed:many", "fixed:-1"])
def test_an_unknown_governor_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match=f"no governor {name}; there are voicebot, "):
        regimes(rk3588(), [name])


def test_each_gain_switches_off_one_setting() -> None:
    for gain, setting in GAINS.items():
        regime = without([gain])
        assert regime.name == f"voicebot without {gain}"
        assert regime.policy == replace(PolicySettings(), **{setting: False})
    assert without([]).policy == PolicySettings()
    with pytest.raises(UsageError, match="no gain luck; there are pre-boost, "):
        without(["luck"])


def question(seconds: float = 120.0, **more: object) -> Question:
    two = regimes(rk3588(), ["voicebot", "performance"])
    return replace(Question(rk3588(), SLM_1_5B, 1, seconds, 1, two), **more)  # type: ignore[arg-type]


def test_a_study_gives_everybody_the_same_users_and_says_what_it_simulates() -> None:
    steps: list[str] = []
    once, again = study(question(), steps.append), study(question(), steps.append)
    assert steps == ["voicebot", "performance"] * 2
    assert once.rows == again.rows
    ours, fastest = once.outcomes
    spoken_s = [[turn.speech_end_s - turn.begin_s for turn in each.turns] for each in (ours, fastest)]
    assert spoken_s[0] == pytest.approx(spoken_s[1])
    assert once.voicebot == once.rows[0]
    assert once.verdict is not None
    assert once.verdict.energy["performance"] < 0
    assert once.rows[0].turn_j == pytest.approx(ours.joules_per_turn)


def test_a_study_takes_the_gain_apart() -> None:
    done = study(question(60.0, gains=True), lambda _what: None)
    assert [each.name for each in done.without] == [f"voicebot without {gain}" for gain in GAINS]
    assert done.voicebot is not None
    unpaced = next(each for each in done.without if each.name.endswith("paced synthesis"))
    assert unpaced.turn_j > done.voicebot.turn_j


def test_a_minute_without_an_answer_is_no_study() -> None:
    with pytest.raises(UsageError, match=r"nobody was answered in 0\.05 minutes by voicebot"):
        study(question(3.0), lambda _what: None)


def test_the_first_turn_is_the_same_turn_with_every_detail() -> None:
    asked = question()
    whole = asked.run(asked.regimes[0])
    detailed = first_turn(asked, whole)
    turn = detailed.turns[0]
    assert turn == whole.turns[0]
    assert detailed.detail[0].time_s >= turn.begin_s - 1
    assert {sample.khz["policy4"] for sample in detailed.detail} >= {1_200_000, 2_400_000}


def test_each_parameter_is_simulated_lower_and_higher() -> None:
    seen: list[Chip] = []

    def rows(varied: Chip) -> list[Row]:
        seen.append(varied)
        return [row("ours", 1100, 34), *OTHERS]

    found = list(variations(rk3588(), 0.3, rows))
    assert [(each.parameter, each.factor) for each in found[:2]] == [(PARAMETERS[0], 0.7), (PARAMETERS[0], 1.3)]
    assert {each.parameter for each in found} == set(PARAMETERS)
    assert all(each.verdict.standing is Standing.BEYOND for each in found)
    assert all(varied != rk3588() for varied in seen)


def test_memory_bounds_the_tokens_of_all_together() -> None:
    """Alone: 18 GB/s over 0.9 GB of weights and 400 cells of 28,672 bytes."""
    bound = ceiling(rk3588(), SLM_1_5B, 10, period_s=20.0)
    assert bound.asked_tokens_s == 20
    assert bound.alone_tokens_s == pytest.approx(18e9 / (0.9e9 + 400 * 28_672))
    assert bound.together_tokens_s == pytest.approx(10 * 18e9 / (0.9e9 + 10 * 400 * 28_672))


def test_a_crowd_is_as_fair_as_its_worst_and_best_user() -> None:
    outcome = simulate(x86_8core(), SMOLLM2_135M, "performance", 3, 120)
    crowd = Crowd.of(outcome)
    assert set(crowd.p95_ms) == {"user-1", "user-2", "user-3"}
    assert crowd.unfairness == pytest.approx(max(crowd.p95_ms.values()) / min(crowd.p95_ms.values()))
    assert 0 < crowd.busy < 1
