"""Drafts are as long as they pay: long where a batch is nearly free, short or none where each token costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.engines.llama.draft_length import Acceptance, Exploration, StepCosts, choose

# Milliseconds of SmolLM2-135M on two cores, by tokens in the batch, and of a box whose memory is the bottleneck.
Q4_1: Final = {1: 7.9, 2: 14.2, 4: 20.8, 8: 33.1, 16: 57.5}
Q4_0: Final = {1: 6.6, 2: 11.8, 4: 12.3, 8: 18.1, 16: 28.7}
MEMORY_BOUND: Final = {1: 50.0, 2: 50.5, 4: 51.0, 8: 52.0, 16: 54.0}
MOST: Final = 15


def costs_of(curve: dict[int, float]) -> StepCosts:
    costs = StepCosts()
    for tokens, ms in curve.items():
        costs.observe(tokens, ms)
    return costs


class TestStepCosts:
    def test_between_sizes_seen_it_is_a_straight_line(self) -> None:
        costs = costs_of(Q4_1)
        assert [costs.ms(size) for size in Q4_1] == pytest.approx(list(Q4_1.values()))
        assert costs.ms(3) == pytest.approx((14.2 + 20.8) / 2)

    def test_above_them_the_line_through_the_ends_goes_on(self) -> None:
        assert costs_of(Q4_1).ms(31) == pytest.approx(57.5 + 57.5 - 7.9)

    @pytest.mark.parametrize("tokens", [1, 2, 9])
    def test_of_one_size_all_others_are_taken_in_proportion(self, tokens: int) -> None:
        """That promises nothing: on no machine does a batch cost more."""
        assert costs_of({2: 10.0}).ms(tokens) == pytest.approx(5.0 * tokens)

    def test_before_any_observation_each_token_counts_the_same(self) -> None:
        assert StepCosts().ms(4) == pytest.approx(4 * StepCosts().ms(1))

    def test_a_few_slow_steps_change_nothing(self) -> None:
        costs = costs_of(Q4_1)
        for ms in (7.9, 90.0, 7.9, 80.0, 7.8, 70.0, 8.0):
            costs.observe(1, ms)
        assert costs.ms(1) == pytest.approx(7.9, abs=0.1)

    def test_a_change_is_followed(self) -> None:
        costs = costs_of(Q4_1)
        for _ in range(20):
            costs.observe(1, 7.9)
        for _ in range(5):
            costs.observe(1, 12.0)
        assert costs.ms(1) == pytest.approx(12.0)

    @given(st.lists(st.tuples(st.integers(1, 40), st.floats(0.1, 100)), min_size=1))
    def test_more_tokens_never_take_less(self, seen: list[tuple[int, float]]) -> None:
        costs = StepCosts()
        for tokens, ms in seen:
            costs.observe(tokens, ms)
        curve = [costs.ms(tokens) for tokens in range(1, 60)]
        assert all(one <= other + 1e-9 for one, other in pairwise(curve))
        assert min(curve) > 0


class TestAcceptance:
    def test_it_comes_near_what_is_seen(self) -> None:
        acceptance = Acceptance()
        random = np.random.default_rng(1)
        seen = []
        for _ in range(300):
            acceptance.observe("ngram", 4, 4, next((k for k in range(4) if random.random() > 0.8), 4))
            seen.append(acceptance.probability("ngram", 4))
        assert abs(float(np.mean(seen[100:])) - 0.8) < 0.05

    def test_sources_and_lengths_of_match_are_told_apart(self) -> None:
        acceptance = Acceptance()
        for _ in range(20):
            acceptance.observe("ngram", 2, 4, 0)
            acceptance.observe("ngram", 9, 4, 4)
        assert acceptance.probability("ngram", 2) < 0.2
        assert acceptance.probability("ngram", 8) > 0.95
        assert acceptance.probability("phrases", 2) == Acceptance().probability("ngram", 2)
        assert acceptance.probability("model", 0) == 0.5

    def test_at_first_long_matches_are_trusted_and_short_ones_are_not(self) -> None:
        """A reply that reads a list back is over before its acceptance could be learnt from trials."""
        acceptance, costs = Acceptance(), costs_of(Q4_1)
        assert choose(costs, acceptance.probability("ngram", 2), 0.0, 0, MOST) == 0
        assert choose(costs, acceptance.probability("ngram", 10), 0.0, 0, MOST) >= 4
        for _ in range(5):
            acceptance.observe("ngram", 10, 4, 0)
        assert choose(costs_of(Q4_0), acceptance.probability("ngram", 10), 0.0, 0, MOST) == 0

    def test_what_was_long_ago_counts_little(self) -> None:
        acceptance = Acceptance()
        for _ in range(500):
            acceptance.observe("ngram", 2, 4, 4)
        for _ in range(60):
            acceptance.observe("ngram", 2, 4, 0)
        assert acceptance.probability("ngram", 2) < 0.3

    def test_no_draft_says_nothing(self) -> None:
        acceptance = Acceptance()
        acceptance.observe("ngram", 2, 0, 0)
        assert acceptance.probability("ngram", 2) == Acceptance().probability("ngram", 2)


class TestChoose:
    @pytest.mark.parametrize("curve", [Q4_1, Q4_0])
    def test_where_tokens_cost_only_likely_ones_are_drafted(self, curve: dict[int, float]) -> None:
        costs = costs_of(curve)
        assert choose(costs, 0.5, 0.0, 0, MOST) == 0
        assert choose(costs, 0.97, 0.0, 0, MOST) >= 8

    def test_the_cheaper_curve_drafts_what_the_dearer_one_does_not(self) -> None:
        assert choose(costs_of(Q4_1), 0.7, 0.0, 0, MOST) == 0
        assert choose(costs_of(Q4_0), 0.7, 0.0, 0, MOST) == 3  # a batch of four costs hardly more than one of two

    def test_where_memory_is_the_bottleneck_drafts_are_long(self) -> None:
        costs = costs_of(MEMORY_BOUND)
        lengths = [choose(costs, probability, 0.0, 0, MOST) for probability in (0.3, 0.5, 0.7, 0.9)]
        assert lengths == sorted(lengths)
        assert lengths[0] >= 2
        assert lengths[-1] == MOST

    def test_what_the_draft_itself_costs_counts(self) -> None:
        costs = costs_of(MEMORY_BOUND)
        lengths = [choose(costs, 0.7, cost_ms, 0, MOST) for cost_ms in (0.0, 5.0, 15.0, 60.0)]
        assert lengths == sorted(lengths, reverse=True)
        assert lengths[0] > 2 * lengths[1] > 0
        assert lengths[-1] == 0

    def test_others_in_the_batch_wait_for_it(self) -> None:
        """Beside seven sessions a step makes eight tokens: to take longer it has to bring more."""
        assert choose(costs_of(Q4_0), 0.7, 0.0, 7, 8) < choose(costs_of(Q4_0), 0.7, 0.0, 0, 8)
        assert choose(costs_of(MEMORY_BOUND), 0.7, 0.0, 7, 8) >= 4

    def test_no_longer_than_there_is_room(self) -> None:
        costs = costs_of(MEMORY_BOUND)
        assert [choose(costs, 1.0, 0.0, 0, most) for most in (0, 1, 5)] == [0, 1, 5]

    def test_a_gain_within_the_error_of_the_estimate_is_none(self) -> None:
        costs = costs_of({1: 10.0, 2: 17.0})
        assert choose(costs, 0.80, 0.0, 0, 1) == 0  # 5.9 % faster
        assert choose(costs, 0.97, 0.0, 0, 1) == 1  # 15.9 % faster

    @given(st.floats(0, 1), st.integers(0, 8), st.floats(0, 20))
    def test_it_is_the_best_of_all_lengths_by_the_margin(self, probability: float, others: int, cost_ms: float) -> None:
        costs = costs_of(Q4_0)

        def rate(length: int) -> float:
            emitted = others + sum(probability**place for place in range(length + 1))
            return emitted / (costs.ms(others + 1 + length) + cost_ms * length)

        chosen = choose(costs, probability, cost_ms, others, MOST)
        best = max(map(rate, range(1, MOST + 1)))
        if chosen:
            assert rate(chosen) >= 0.95 * best  # not every length is looked at
            assert rate(chosen) > rate(0)
        else:
            assert best <= rate(0) * 1.12


class Decoder:
    """A scripted machine: steps cost what its curve says, drafts are accepted as they are told to be."""

    def __init__(self, curve: dict[int, float], *, known: bool, match_length: int = 4) -> None:
        self.match_length = match_length
        self.truth = costs_of(curve)
        self.costs = costs_of(curve) if known else StepCosts()
        self.acceptance = Acceptance()
        self.exploration = Exploration()
        self.random = np.random.default_rng(4)
        self.ms = 0.0
        self.tokens = 0
        self.lengths: list[int] = []

    def run(self, probabilities: Iterable[float]) -> None:
        """Decode with a draft at every step, each token accepted with the step's probability."""
        for probability in probabilities:
            expected = self.acceptance.probability("ngram", self.match_length)
            length = choose(self.costs, expected, 0.0, 0, 8) or self.exploration.length(self.costs, 0.0, 0, 8)
            accepted = next((k for k in range(length) if self.random.random() >= probability), length)
            ms = self.truth.ms(1 + length) * float(self.random.lognormal(0.0, 0.05))
            self.costs.observe(1 + length, ms)
            self.acceptance.observe("ngram", self.match_length, length, accepted)
            self.exploration.elapsed(ms)
            self.ms += ms
            self.tokens += 1 + accepted
            self.lengths.append(length)

    def gain(self) -> float:
        """Return the tokens per millisecond, plain decoding's being 1."""
        return self.tokens / self.ms * self.truth.ms(1)


@pytest.mark.parametrize("match_length", [4, 10])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("curve", [Q4_1, Q4_0, MEMORY_BOUND])
@pytest.mark.parametrize(
    "misleading",
    [
        pytest.param(lambda _: 0.0, id="never accepted"),
        pytest.param(lambda _: 0.3, id="seldom"),
        pytest.param(lambda step: 0.95 if step % 60 < 10 else 0.0, id="good for ten steps of sixty"),
        pytest.param(lambda step: 0.95 if step % 300 < 150 else 0.0, id="good for a while, then never"),
    ],
)
def test_misled_it_loses_at_most_3_percent(
    curve: dict[int, float], known: bool, match_length: int, misleading: Callable[[int], float]
) -> None:
    decoder = Decoder(curve, known=known, match_length=match_length)
    decoder.run(misleading(step) for step in range(6000))
    assert decoder.gain() >= 0.97


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("curve", "gain"), [(Q4_1, 1.3), (Q4_0, 1.8), (MEMORY_BOUND, 3.0)])
def test_good_drafts_are_found_out_after_bad_ones(curve: dict[int, float], known: bool, gain: float) -> None:
    decoder = Decoder(curve, known=known)
    decoder.run([0.0] * 1000)
    decoder.run([0.95] * 3000)
    decoder.ms = decoder.tokens = 0
    decoder.run([0.95] * 500)
    assert decoder.gain() > gain


@pytest.mark.parametrize("curve", [Q4_1, Q4_0])
def test_trials_take_at_most_their_share_of_the_time(curve: dict[int, float]) -> None:
    costs, exploration = costs_of(curve), Exploration(share=0.01)
    total = spent = 0.0
    lengths = set()
    for _ in range(5000):
        length = exploration.length(costs, 0.0, 0, 8)
        ms = costs.ms(1 + length)
        exploration.elapsed(ms)
        spent += ms - costs.ms(1)
        total += ms
        lengths.add(length)
    assert lengths == {0, 1, 3, 7}
    assert 0.002 < spent / total <= 0.01


def test_time_without_anything_to_try_is_not_saved_up() -> None:
    costs, exploration = costs_of(Q4_1), Exploration()
    exploration.elapsed(1e9)
    trials = []
    for _ in range(50):
        trials.append(exploration.length(costs, 0.0, 0, 8))
        exploration.elapsed(costs.ms(1))
    assert trials[0] == 1
    assert not any(trials[1:])


def test_a_trial_is_no_longer_than_there_is_room() -> None:
    exploration = Exploration()
    for most in (0, 1, 2, 2):
        exploration.elapsed(1e9)
        assert exploration.length(costs_of(Q4_1), 0.0, 0, most) == most
