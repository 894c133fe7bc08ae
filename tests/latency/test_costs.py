"""What all stages of a box cost: what is assumed, what is known from before, and what is handed on."""

from __future__ import annotations

import pytest

from voicebot.clock import LoopClock
from voicebot.latency.cost import StageCost
from voicebot.latency.costs import PRIORS, Costs
from voicebot.latency.fits import FitKey
from voicebot.latency.misses import Cause

KEY = FitKey("asr", "whisper", "core", 2)
KNOWN = StageCost(0.3, 0.2, 0.1, 1.4)


def test_at_first_it_is_what_two_cores_took() -> None:
    costs = Costs(LoopClock())
    assert {stage: costs.cost(stage) for stage in PRIORS} == PRIORS


def test_at_a_known_frequency_it_is_assumed_to_take_as_long() -> None:
    costs = Costs(LoopClock(), ghz=lambda _: 2.4)
    for stage, prior in PRIORS.items():
        assert costs.careful_s(stage, 10) == pytest.approx(prior.careful_seconds(10, 1.0))


def test_what_was_learnt_before_is_known_again_only_of_the_same() -> None:
    assert Costs(LoopClock(), {"asr": KEY}, {KEY: KNOWN}).cost("asr") == KNOWN
    assert Costs(LoopClock(), {"asr": KEY._replace(threads=1)}, {KEY: KNOWN}).cost("asr") == PRIORS["asr"]


def test_only_what_was_observed_is_handed_on() -> None:
    costs = Costs(LoopClock(), {"asr": KEY, "slm": KEY._replace(stage="slm")}, {KEY: KNOWN})
    assert costs.learnt == {}
    costs.took("asr", 2.0, 0.7)
    assert costs.learnt == {KEY: costs.cost("asr")}
    assert costs.cost("asr") != KNOWN


def test_a_request_is_told_beside_what_was_predicted_for_it() -> None:
    costs = Costs(LoopClock(), {"asr": KEY}, {KEY: KNOWN})
    spent = costs.took("asr", 2.0, 5.0, Cause.COLD)
    assert (spent.expected_s, spent.careful_s, spent.seconds) == pytest.approx((0.9, 1.26, 5.0))
    assert spent.cause is Cause.COLD


@pytest.mark.parametrize("cause", [Cause.QUEUE, Cause.SECOND_LOOK])
def test_time_that_is_not_the_works_own_teaches_nothing(cause: Cause) -> None:
    costs = Costs(LoopClock())
    costs.took("asr", 2.0, 50.0, cause)
    assert costs.cost("asr") == PRIORS["asr"]
