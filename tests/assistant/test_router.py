"""Which tier a request goes to: a pure decision, shown as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from voicebot.assistant.router import (
    Conditions,
    RouteRequest,
    choose,
    mean_logprob,
    patience_ms,
    should_raise,
    time_for_others_ms,
)
from voicebot.config.tiers import RouterSettings, TierSettings

RULES = RouterSettings()
LARGE = TierSettings(name="large", engine="llama", model="x", first_token_ms=600)
OFFICE = TierSettings(
    name="office", engine="openai", model="y", url="http://10.0.0.2/v1", first_token_ms=500, most_requests=2
)
TIERS = (LARGE, OFFICE)
WELL = Conditions()
SIMPLE = "What is the capital of France?"
COMPLEX = "Why is the sky blue?"
HARD = "Why is the sky blue? And what is twelve times seven?"


def chosen(text: str, conditions: Conditions = WELL, tiers: tuple[TierSettings, ...] = TIERS, **changed: Any) -> str:
    deadline_ms = changed.pop("deadline_ms", RULES.deadline_ms)
    return choose(RouteRequest(text, deadline_ms), tiers, conditions, RULES.model_copy(update=changed))


@pytest.mark.parametrize(
    ("text", "tier"),
    [
        ("Good morning.", "small"),
        (SIMPLE, "small"),
        ("How old are you?", "small"),
        ("Set a timer for ten minutes.", "small"),
        (COMPLEX, "large"),
        ("Explain how a fridge works.", "large"),
        ("What is 15 percent of 80?", "large"),
        ("Set a timer and turn on the lights.", "large"),
        (HARD, "office"),
        ("Compare tea and coffee. Which has more caffeine?", "office"),
    ],
)
def test_the_words_choose_the_tier(text: str, tier: str) -> None:
    assert chosen(text) == tier
    assert chosen(text, tiers=()) == "small"


@pytest.mark.parametrize(
    ("conditions", "simple", "complex_", "hard"),
    [
        (Conditions(), "small", "large", "office"),
        (Conditions(in_flight={"large": 1}), "small", "office", "office"),
        (Conditions(in_flight={"large": 1, "office": 2}), "small", "small", "small"),
        (Conditions(in_flight={"small": 3}), "small", "large", "office"),
        (Conditions(in_flight={"small": 4}), "office", "large", "office"),
        (Conditions(in_flight={"small": 4, "office": 2}), "small", "large", "large"),
        (Conditions(in_flight={"small": 9}, resting=frozenset({"office"})), "small", "large", "large"),
        (Conditions(resting=frozenset({"large", "office"})), "small", "small", "small"),
        (Conditions(temperature_c=70.0), "small", "large", "office"),
        (Conditions(temperature_c=81.0), "small", "office", "office"),
        (Conditions(temperature_c=81.0, resting=frozenset({"office"})), "small", "small", "small"),
        (Conditions(first_token_ms={"large": 590.0}), "small", "large", "office"),
        (Conditions(first_token_ms={"large": 600.0}), "small", "office", "office"),
        (Conditions(first_token_ms={"small": 400.0, "large": 510.0, "office": 510.0}), "small", "small", "small"),
        # A small one that takes forever keeps at most half of the time for itself.
        (Conditions(first_token_ms={"small": 9000.0, "large": 400.0}), "small", "large", "office"),
    ],
)
def test_conditions_choose_among_the_able(conditions: Conditions, simple: str, complex_: str, hard: str) -> None:
    assert [chosen(text, conditions) for text in (SIMPLE, COMPLEX, HARD)] == [simple, complex_, hard]


@pytest.mark.parametrize(
    ("deadline_ms", "usual", "tier"),
    [
        (900, {}, "large"),
        (300, {}, "large"),
        (0, {}, "small"),
        (-50, {}, "small"),
        (300, {"large": 350.0}, "office"),
        (300, {"large": 350.0, "office": 310.0}, "small"),
    ],
)
def test_only_who_is_in_time_is_asked(deadline_ms: float, usual: Mapping[str, float], tier: str) -> None:
    assert chosen(COMPLEX, Conditions(first_token_ms=usual), deadline_ms=deadline_ms) == tier


def test_the_thresholds_are_settings() -> None:
    assert chosen(COMPLEX, complex_points=3) == "small"
    assert chosen(SIMPLE, complex_points=0) == "large"
    assert chosen(COMPLEX, hard_points=2) == "office"
    assert chosen(SIMPLE, Conditions(in_flight={"small": 1}), small_requests=1) == "office"
    assert chosen(COMPLEX, Conditions(temperature_c=50.0), hot_celsius=40.0) == "office"


@pytest.mark.parametrize(
    ("logprob", "left_ms", "conditions", "tier"),
    [
        (None, 700, WELL, None),
        (RULES.unsure_logprob, 700, WELL, None),
        (RULES.unsure_logprob - 0.01, 700, WELL, "large"),
        (-9.0, 700, Conditions(in_flight={"large": 1}), "office"),
        (-9.0, 700, Conditions(temperature_c=95.0), "office"),
        (-9.0, 700, Conditions(resting=frozenset({"large", "office"})), None),
        (-9.0, 200, Conditions(first_token_ms={"large": 250.0}), "office"),
        (-9.0, 0, WELL, None),
    ],
)
def test_an_unsure_answer_is_raised_while_there_is_time(
    logprob: float | None, left_ms: float, conditions: Conditions, tier: str | None
) -> None:
    assert should_raise(logprob, left_ms, TIERS, conditions, RULES) == tier


def test_nobody_is_waited_for_longer_than_leaves_the_small_one_time() -> None:
    assert time_for_others_ms(900, WELL) == 900
    assert time_for_others_ms(900, Conditions(first_token_ms={"small": 80.0})) == 820
    assert time_for_others_ms(900, Conditions(first_token_ms={"small": 8000.0})) == 450
    assert patience_ms(LARGE, 820) == 600
    assert patience_ms(LARGE, 420) == 420
    assert patience_ms(LARGE, -10) == 0


def test_the_mean_is_of_what_is_known() -> None:
    assert mean_logprob([]) is None
    assert mean_logprob([None, None]) is None
    assert mean_logprob([-1.0, None, -2.0]) == -1.5
