"""What is chosen: the likeliest token, or one by chance that the seed decides; as llama.cpp's own chain chooses."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Iterator
from typing import Any

import llama_cpp
import numpy as np
import pytest
from numpy.typing import NDArray

from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.candidates import Candidates, all_ids
from voicebot.engines.llama.sampling import Sampler
from voicebot.engines.llama.weights import Weights
from voicebot.errors import EngineError

Logits = NDArray[np.float32]
VOCABULARY = 49_152


class Chain:
    """All of llama.cpp's samplers in one chain over the whole vocabulary: slow, and what Sampler has to equal."""

    def __init__(self, settings: SlmSettings, vocabulary_size: int) -> None:
        self.candidates = Candidates(vocabulary_size)
        self.ids = all_ids(vocabulary_size)
        self.chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        steps = [
            llama_cpp.llama_sampler_init_penalties(
                vocabulary_size, settings.repeat_last_tokens, settings.repeat_penalty, 0.0, 0.0
            )
        ]
        if settings.temperature > 0:
            steps += [
                llama_cpp.llama_sampler_init_top_k(settings.top_k),
                llama_cpp.llama_sampler_init_top_p(settings.top_p, 1),
                llama_cpp.llama_sampler_init_min_p(settings.min_p, 1),
                llama_cpp.llama_sampler_init_temp(settings.temperature),
                llama_cpp.llama_sampler_init_dist(settings.seed),
            ]
        else:
            steps.append(llama_cpp.llama_sampler_init_greedy())
        for step in steps:
            llama_cpp.llama_sampler_chain_add(self.chain, step)

    def next(self, logits: Logits) -> int:
        self.candidates.fill(self.ids, logits)
        self.candidates.apply(self.chain)
        token = self.candidates.selected
        llama_cpp.llama_sampler_accept(self.chain, token)
        return token

    def probabilities(self) -> NDArray[np.float64]:
        """Return the distribution that the last token was drawn from."""
        result = np.zeros(len(self.ids))
        result[self.candidates.ids] = self.candidates._data["p"][: len(self.candidates.ids)]
        return result

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self.chain)


def rows(count: int, size: int = VOCABULARY, seed: int = 1) -> Iterator[Logits]:
    """Yield logits as wide as a model's; their peaks are among a few tokens, so that they are said again."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        row = random.normal(0.0, 2.0, size).astype(np.float32)
        row[: min(size, 200)] += 6
        yield row


def sampled(sampler: Sampler, count: int, size: int = VOCABULARY) -> list[int]:
    tokens = []
    for row in rows(count, size):
        tokens.append(sampler.sample(row))
        sampler.accept(tokens[-1])
    return tokens


@pytest.fixture
def letters(weights: Weights) -> Any:
    """A grammar: one a or b and then any number of letters, as a sampler that the test's Sampler frees."""
    return llama_cpp.llama_sampler_init_grammar(weights.vocabulary, b"root ::= [ab] [a-z]*", b"root")


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(SlmSettings(), id="shipped"),
        pytest.param(SlmSettings(repeat_penalty=2.0, repeat_last_tokens=7), id="short memory"),
        pytest.param(SlmSettings(repeat_penalty=2.0, repeat_last_tokens=0), id="no memory"),
        pytest.param(SlmSettings(repeat_penalty=1.0), id="no penalty"),
        pytest.param(SlmSettings(temperature=0.8), id="by chance"),
        pytest.param(SlmSettings(temperature=1.5, top_k=0, top_p=1.0, min_p=0.0, seed=4), id="nothing cut off"),
        pytest.param(SlmSettings(temperature=0.7, top_k=0, top_p=0.5, min_p=0.0), id="top-p alone"),
        pytest.param(SlmSettings(temperature=0.7, top_k=0, top_p=1.0, min_p=0.3), id="min-p alone"),
    ],
)
def test_it_chooses_what_the_chain_chooses(settings: SlmSettings) -> None:
    sampler, chain = Sampler(settings, VOCABULARY), Chain(settings, VOCABULARY)
    for row in rows(60):
        whole = sampler.distribution(row)
        token = sampler.sample(row)
        sampler.accept(token)
        assert token == chain.next(row)
        if settings.temperature > 0:
            assert np.abs(whole - chain.probabilities()).max() < 1e-6
        else:
            assert whole[token] == 1
        assert abs(whole.sum() - 1) < 1e-9
    sampler.close()
    chain.close()


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_the_logits_are_left_as_they_were(temperature: float) -> None:
    """They belong to llama.cpp's context, and another sampler may look at them."""
    sampler = Sampler(SlmSettings(temperature=temperature, repeat_penalty=2.0), 50)
    sampler.reset(range(20))
    (row,) = rows(1, 50)
    before = row.copy()
    row.flags.writeable = False
    sampler.sample(row)
    sampler.distribution(row)
    assert np.array_equal(row, before)


def test_with_temperature_the_seed_decides() -> None:
    said = {seed: sampled(Sampler(SlmSettings(temperature=1.0, seed=seed), 300), 12, 300) for seed in range(1, 5)}
    assert said[1] == sampled(Sampler(SlmSettings(temperature=1.0, seed=1), 300), 12, 300)
    assert len({tuple(tokens) for tokens in said.values()}) == 4


def test_every_request_begins_at_the_seed() -> None:
    sampler = Sampler(SlmSettings(temperature=1.0), 300)
    first = sampled(sampler, 12, 300)
    sampler.reset()
    assert sampled(sampler, 12, 300) == first


def test_the_penalty_knows_how_the_reply_has_begun() -> None:
    """Going on after a beginning is as if it had been chosen here, which a prompt is not."""
    sampler = Sampler(SlmSettings(repeat_penalty=2.0), 3)
    row = np.array([0.0, 3.0, 2.0], np.float32)
    assert sampler.sample(row) == 1
    sampler.reset((1,))
    assert sampler.sample(row) == 2
    sampler.reset()
    assert sampler.sample(row) == 1


def test_a_penalty_makes_unlikely_tokens_less_likely_too() -> None:
    sampler = Sampler(SlmSettings(repeat_penalty=2.0), 2)
    sampler.accept(0)
    assert sampler.sample(np.array([-1.0, -1.5], np.float32)) == 1


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_grammar_holds_it_to_what_it_allows(weights: Weights, letters: Any, temperature: float) -> None:
    sampler = Sampler(SlmSettings(temperature=temperature), weights.vocabulary_size, letters)
    said = b""
    for row in rows(20):
        token = sampler.sample(row)
        if weights.ends_reply(token):
            break
        sampler.accept(token)
        said += weights.piece(token)
    sampler.close()
    assert said[:1] in (b"a", b"b")
    assert said.isalpha()
    assert said.islower()
    assert len(said) > 3


def test_at_temperature_0_it_is_the_likeliest_that_the_grammar_allows(weights: Weights, letters: Any) -> None:
    """Among the 64 likeliest, which are looked at first, or far below them."""
    sampler = Sampler(SlmSettings(), weights.vocabulary_size, letters)
    (a,), (b,) = (weights.tokens(letter, begin=False) for letter in "ab")
    for level in (12.0, -12.0):
        (row,) = rows(1)
        legal = [token for token in range(VOCABULARY) if weights.piece(token)[:1] in (b"a", b"b")]
        row[legal] -= 30
        row[a], row[b] = level, level + 1
        assert sampler.sample(row) == b
        assert sampler.distribution(row)[b] == 1
    sampler.close()


def test_what_the_grammar_refuses_is_drawn_again_among_what_it_allows(weights: Weights, letters: Any) -> None:
    """The mass of refused tokens goes to the chain's distribution over allowed ones, as llama.cpp's server draws."""
    settings = SlmSettings(temperature=1.0, top_k=3, top_p=1.0, min_p=0.0)
    sampler = Sampler(settings, 100, letters)
    (a,), (b,), (c,) = (weights.tokens(letter, begin=False) for letter in "abc")
    row = np.full(100, -50.0, np.float32)
    row[[a, b, c, 20]] = np.log([1.0, 2.0, 3.0, 4.0])
    wanted = {a: 7 / 9 / 3, b: 2 / 9 + 7 / 9 * 2 / 3}  # the first draw is among b, c and 20; the second among a and b
    whole = sampler.distribution(row)
    assert {int(token): float(whole[token]) for token in np.flatnonzero(whole > 1e-9)} == pytest.approx(wanted)
    drawn = Counter(sampler.sample(row) for _ in range(5000))
    assert drawn.keys() == wanted.keys()
    assert abs(drawn[a] / 5000 - wanted[a]) < 0.025  # four standard deviations
    sampler.close()


def test_the_grammar_begins_anew_with_every_request_and_not_with_what_has_begun(weights: Weights, letters: Any) -> None:
    sampler = Sampler(SlmSettings(repeat_penalty=1.0), weights.vocabulary_size, letters)
    (a,), (z,), (mark,) = (weights.tokens(letter, begin=False) for letter in "az!")
    row = np.full(VOCABULARY, -9.0, np.float32)
    row[z], row[a] = 2.0, 1.0
    for begun in ((), (mark, z)):
        sampler.reset(begun)
        assert sampler.sample(row) == a
        sampler.accept(a)
        assert sampler.sample(row) == z
    sampler.close()


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_grammar_that_allows_nothing_is_an_error(weights: Weights, temperature: float) -> None:
    """No token of the first ten has any text, and the reply can't end before it has begun."""
    grammar = llama_cpp.llama_sampler_init_grammar(weights.vocabulary, b'root ::= "a"', b"root")
    sampler = Sampler(SlmSettings(temperature=temperature), 10, grammar)
    for choose in (sampler.sample, sampler.distribution):
        with pytest.raises(EngineError, match="grammar"):
            choose(np.zeros(10, np.float32))
    sampler.close()


def test_the_candidates_are_laid_out_as_llama_cpp_has_them() -> None:
    data = Candidates(1)._data.dtype
    theirs = llama_cpp.llama_token_data
    assert data.itemsize == ctypes.sizeof(theirs)
    assert data.fields is not None
    assert [data.fields[name][1] for name in ("id", "logit", "p")] == [
        getattr(theirs, name).offset for name in ("id", "logit", "p")
    ]
