"""What is emitted with drafts is what would have been sampled without them, token for token and in distribution."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Final

import llama_cpp
import numpy as np
import pytest
from numpy.typing import NDArray

from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama import acceptance
from voicebot.engines.llama.acceptance import accepted_length, verify
from voicebot.engines.llama.drafts import Draft
from voicebot.engines.llama.sampling import Sampler
from voicebot.engines.llama.weights import Weights

SAMPLES: Final = 100_000
SETTINGS: Final = SlmSettings(temperature=0.8, top_k=5, top_p=1.0, min_p=0.02, repeat_penalty=1.5, repeat_last_tokens=2)
Floats = NDArray[np.float64]
Logits = NDArray[np.float32]
MakeDraft = Callable[["Toy", Sequence[int], int], Draft]


@dataclass
class Toy:
    """A language whose next token depends on the last one; row -1 begins a text."""

    size: int
    said: tuple[int, ...]
    """The tokens that are worth saying; all others are next to impossible."""
    ends: frozenset[int] = frozenset()
    allowed: Callable[[int, int], bool] = lambda _place, _token: True
    """The grammar in other words: whether a text's token at this place may be this one."""
    grammar: object = None
    logits: Logits = field(init=False)
    guesses: Floats = field(init=False)
    """A draft model's probabilities after each token: it is wrong, and thinks one token in six impossible."""

    reached: Floats = field(init=False)
    """Their running sums."""

    def __post_init__(self) -> None:
        chance = np.random.default_rng(3)
        self.logits = np.full((self.size + 1, self.size), -40.0, np.float32)
        shape = (self.size + 1, len(self.said))
        self.logits[:, self.said] = chance.normal(1.0, 1.5, shape)
        weights = np.zeros((self.size + 1, self.size))
        weights[:, self.said] = np.exp(self.logits[:, self.said] + chance.normal(0.0, 1.0, shape))
        weights[np.arange(self.size + 1), chance.choice(self.said, self.size + 1)] = 0.0
        self.guesses = weights / weights.sum(axis=1, keepdims=True)
        self.reached = self.guesses.cumsum(axis=1)

    def sampler(self, seed: int) -> Sampler:
        grammar = None if self.grammar is None else llama_cpp.llama_sampler_clone(self.grammar)
        return Sampler(SETTINGS.model_copy(update={"seed": seed}), self.size, grammar)


def toy() -> Toy:
    return Toy(6, tuple(range(6)))


def toy_with_grammar(weights: Weights) -> Toy:
    """Groups of three letters of the model's vocabulary, whose first 90 tokens have letters up to i."""
    places = ("ab", "abc", "cd")
    rule = " ".join(f"[{letters}]" for letters in places)
    grammar = llama_cpp.llama_sampler_init_grammar(weights.vocabulary, f"root ::= ({rule})+".encode(), b"root")
    ids = {letter: weights.tokens(letter, begin=False)[0] for letter in "abcde"}
    (end,) = [token for token in weights.reply_ends() if weights.tokens("<|im_end|>", begin=False) == [token]]
    letters = [frozenset(ids[letter] for letter in place) for place in places]

    def allowed(place: int, token: int) -> bool:
        return token in letters[place % 3] or (token == end and place > 0 and place % 3 == 0)

    return Toy(90, (*ids.values(), end), frozenset({end}), allowed, grammar)


def chosen(toy: Toy, text: Sequence[int], length: int) -> Draft:
    """Draft the likeliest tokens."""
    tokens = [text[-1] if text else -1]
    for _ in range(length):
        tokens.append(int(toy.guesses[tokens[-1]].argmax()))
    return Draft(tuple(tokens[1:]), "ngram")


def drawn_with(random: np.random.Generator) -> MakeDraft:
    def drawn(toy: Toy, text: Sequence[int], length: int) -> Draft:
        """Draft by chance."""
        tokens = [text[-1] if text else -1]
        for _ in range(length):
            tokens.append(int(toy.reached[tokens[-1]].searchsorted(random.random(), side="right")))
        return Draft(tuple(tokens[1:]), "model", toy.guesses[tokens[:-1]])

    return drawn


def emit(
    toy: Toy, make_draft: MakeDraft, accepted: Counter[int] | None = None
) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yield each token with the text before it; texts begin anew when they have ended."""
    sampler = toy.sampler(0)
    random = np.random.default_rng(11)
    text: list[int] = []
    for step in range(SAMPLES):
        draft = make_draft(toy, text, step % 5)
        before = [text[-1] if text else -1, *draft.tokens]
        emitted = verify(sampler, lambda i, b=before: toy.logits[b[i]], draft, random, toy.ends.__contains__)  # type: ignore[misc]
        if accepted is not None:
            accepted[accepted_length(draft, emitted)] += 1
        for token in emitted:
            yield tuple(text), token
            text.append(token)
        if text[-1] in toy.ends:
            text.clear()
            sampler.close()
            sampler = toy.sampler(step)
        elif len(text) > 60:
            del text[:30]  # whole groups of three
    sampler.close()


def target(toy: Toy, text: tuple[int, ...], place: int) -> Floats:
    """Return the target's distribution after a text, written down here without llama.cpp."""
    logits = toy.logits[text[-1] if text else -1].astype(np.float64)
    for token in set(text[-SETTINGS.repeat_last_tokens :]):
        logits[token] *= SETTINGS.repeat_penalty if logits[token] <= 0 else 1 / SETTINGS.repeat_penalty
    legal = np.array([toy.allowed(place, token) for token in range(toy.size)])
    free, bound = _truncated(logits), _truncated(np.where(legal, logits, -np.inf))
    refused: float = free[~legal].sum()
    return np.where(legal, free, 0.0) + refused * bound


def _truncated(logits: Floats) -> Floats:
    weights = np.exp(logits - logits.max())
    weights[np.argsort(weights)[: -SETTINGS.top_k]] = 0.0
    weights[weights < SETTINGS.min_p] = 0.0
    weights **= 1 / SETTINGS.temperature
    return np.asarray(weights / weights.sum())


def deviations(toy: Toy, emitted: Iterator[tuple[tuple[int, ...], int]]) -> float:
    """Return by how many standard deviations the chi-square statistic of 100,000 tokens is above its mean.

    Tokens are counted for each state that their distribution depends on. (Wilson & Hilferty 1931 make it normal.)
    """

    @lru_cache
    def expected(recent: tuple[int, ...], place: int) -> Floats:
        return target(toy, recent, place)

    counts: dict[tuple[tuple[int, ...], int], Counter[int]] = {}
    for text, token in (pair for _, pair in zip(range(SAMPLES), emitted, strict=False)):
        place = len(text) if len(text) < 3 else 3 + len(text) % 3
        counts.setdefault((text[-2:], place), Counter())[token] += 1
    statistic, freedom = 0.0, 0
    for state, counter in counts.items():
        total = counter.total()
        wanted = expected(*state) * total
        seen = np.array([counter[token] for token in range(toy.size)])
        assert not seen[wanted == 0].any()
        common = wanted >= 5
        bins = [*zip(seen[common], wanted[common], strict=True)]
        if wanted[~common].sum() >= 5:
            bins.append((seen[~common].sum(), wanted[~common].sum()))
        statistic += sum((have - want) ** 2 / want for have, want in bins)
        freedom += max(0, len(bins) - 1)
    assert freedom > 30
    spread = 2 / (9 * freedom)
    return (math.cbrt(statistic / freedom) - (1 - spread)) / math.sqrt(spread)


@pytest.mark.parametrize("kind", ["chosen", "drawn"])
@pytest.mark.parametrize("with_grammar", [False, True])
def test_the_emitted_distribution_is_the_targets(weights: Weights, kind: str, with_grammar: bool) -> None:
    """Temperature 0.8, penalties on, drafts of 0 to 4 tokens of a draft model that is wrong."""
    language = toy_with_grammar(weights) if with_grammar else toy()
    make_draft = chosen if kind == "chosen" else drawn_with(np.random.default_rng(5))
    accepted: Counter[int] = Counter()
    assert deviations(language, emit(language, make_draft, accepted)) < 3.1  # probability 0.001
    assert accepted[0] > 1000
    assert accepted[2] > 1000


def test_a_draft_that_was_not_drawn_changes_not_even_the_text_of_a_seed() -> None:
    """One number of the sampler's is used for each emitted token, with and without a draft."""

    def none(_toy: Toy, _text: Sequence[int], _length: int) -> Draft:
        return Draft((), "ngram")

    plain, drafted = ([token for _, token in islice(emit(toy(), make), 3000)] for make in (none, chosen))
    assert plain == drafted


def test_the_distribution_of_a_wrong_rule_is_seen_to_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing from the target itself where a drawn token is refused is the classical mistake."""

    def whole(p: Floats, _q: Floats, random: np.random.Generator) -> int:
        return int(random.choice(len(p), p=p / p.sum()))

    monkeypatch.setattr(acceptance, "_residual", whole)
    language = toy()
    assert deviations(language, emit(language, drawn_with(np.random.default_rng(5)))) > 10


def test_more_of_a_drawn_draft_is_accepted_by_its_probabilities_than_by_comparing() -> None:
    language = toy()
    accepted: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}
    for known, counter in accepted.items():
        draw = drawn_with(np.random.default_rng(5))

        def make(toy: Toy, text: Sequence[int], length: int, *, keep: bool = known, draw: MakeDraft = draw) -> Draft:
            draft = draw(toy, text, length)
            return draft if keep else Draft(draft.tokens, draft.source)

        deque(zip(range(20_000), emit(language, make, counter), strict=False), maxlen=0)
    mean = {known: sum(k * n for k, n in c.items()) / c.total() for known, c in accepted.items()}
    assert mean[True] > 1.1 * mean[False]


def greedy() -> Sampler:
    return Sampler(SlmSettings(repeat_penalty=1.0), 6)


def rows_saying(*tokens: int) -> Callable[[int], Logits]:
    table = np.eye(6, dtype=np.float32)
    return lambda place: table[tokens[place]]


def never(_token: int) -> bool:
    return False


@pytest.mark.parametrize(
    ("draft", "emitted", "accepted"),
    [
        pytest.param((), [1], 0, id="no draft is plain decoding"),
        pytest.param((1, 2, 3), [1, 2, 3, 4], 3, id="all accepted, and one more"),
        pytest.param((1, 2, 5), [1, 2, 3], 2, id="the target's own in place of the first wrong one"),
        pytest.param((5, 2, 3), [1], 0, id="nothing after a wrong one"),
    ],
)
@pytest.mark.parametrize("drawn", [False, True])
def test_at_temperature_0_the_target_decides(
    draft: tuple[int, ...], emitted: list[int], accepted: int, drawn: bool
) -> None:
    probabilities = np.full((len(draft), 6), 1 / 6) if drawn else None
    made = Draft(draft, "model", probabilities)
    said = verify(greedy(), rows_saying(1, 2, 3, 4), made, np.random.default_rng(1), never)
    assert said == emitted
    assert accepted_length(made, said) == accepted


@pytest.mark.parametrize("drawn", [False, True])
def test_nothing_is_emitted_after_the_end_of_the_reply(drawn: bool) -> None:
    certain = np.eye(6)[[1, 2, 3]]
    draft = Draft((1, 2, 3), "model", certain if drawn else None)
    sampler = Sampler(SlmSettings(temperature=1.0, top_k=1), 6)
    said = verify(sampler, rows_saying(1, 2, 3, 4), draft, np.random.default_rng(1), lambda token: token == 2)
    assert said == [1, 2]
    assert accepted_length(draft, said) == 2


@pytest.mark.parametrize("drawn", [False, True])
def test_the_penalty_knows_the_tokens_accepted_just_before(drawn: bool) -> None:
    """After 1 the target would say 1 again, but for the penalty: 2 is nearly as likely."""
    row = np.array([0.0, 2.0, 1.9, 0.0, 0.0, 0.0], np.float32)
    sampler = Sampler(SlmSettings(temperature=0.5, top_k=1, repeat_penalty=1.5), 6)
    draft = Draft((1, 1), "model", np.eye(6)[[1, 1]] if drawn else None)
    assert verify(sampler, lambda _: row, draft, np.random.default_rng(1), never) == [1, 2]
    assert sampler.sample(row) == 1  # both are penalised


def test_a_draft_from_the_targets_own_distribution_is_accepted_whole() -> None:
    """Rounding must not refuse, nor leave nothing to draw from."""
    sampler = Sampler(SlmSettings(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repeat_penalty=1.0), 6)
    row = np.random.default_rng(2).normal(size=6).astype(np.float32)
    own = sampler.distribution(row)
    random = np.random.default_rng(3)
    for _ in range(200):
        tokens = tuple(int(token) for token in random.choice(6, 4, p=own))
        said = verify(sampler, lambda _: row, Draft(tokens, "model", np.array([own] * 4)), random, never)
        assert said[:4] == list(tokens)
        assert len(said) == 5
    assert 0 <= acceptance._residual(own, own, random) < 6
