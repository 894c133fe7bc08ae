"""Whether drafts change a word: every prompt's text with them and without, and why one differs if it does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicebot.bench.slm.decode import costs_of, flat_ms
from voicebot.bench.slm.prompts import EVERY, Prompt
from voicebot.bench.slm.report import Limit, Part, Row
from voicebot.bench.slm.subject import Client, Subject
from voicebot.bench.soak.rounding import Rows, difference, first_difference
from voicebot.engines.llama.context import Context
from voicebot.engines.llama.sampling import Sampler
from voicebot.engines.llama.weights import Weights

_ROUNDING_OF: Final = 16
"""So many replies are computed again in batches of another shape."""


@dataclass(frozen=True, slots=True)
class Texts:
    """A prompt's reply as tokens: plain, with drafts where they pay, and with as long ones as there are."""

    prompt: Prompt
    plain: tuple[int, ...]
    drafted: dict[str, tuple[int, ...]]


def measure(subject: Subject, prompts: tuple[Prompt, ...] = EVERY) -> Part:
    """Compare all texts. Nothing here is timed."""
    with subject.comparing() as client:
        texts = [_texts(client, prompt) for prompt in prompts]
    cells = 2 * subject.settings.context_tokens
    with subject.weights() as weights, subject.context(weights, cells, 2) as context:
        rounding = _rounding(subject, weights, context, texts[:: max(1, len(texts) // _ROUNDING_OF)])
        judged = [
            _judged(subject, weights, context, text, way, rounding)
            for text in texts
            for way, tokens in text.drafted.items()
            if tokens != text.plain
        ]
    rows: list[Row] = [
        {
            "drafts": way,
            "prompts": len(texts),
            "same text": sum(text.plain == text.drafted[way] for text in texts),
            "explained by rounding": sum(row["drafts"] == way and row["explained"] == "yes" for row in judged),
            "unexplained": sum(row["drafts"] == way and row["explained"] == "no" for row in judged),
        }
        for way in texts[0].drafted
    ]
    unexplained = sum(row["explained"] == "no" for row in judged)
    limits = [Limit("other texts that rounding does not explain", unexplained, at_most=0)]
    rounded: list[Row] = [
        {"rounding of batches": "largest change of a gap between two of the best logits", "logit": rounding}
    ]
    return Part({"texts": rows, "rounding": rounded, "where texts differ": judged}, limits)


def _texts(client: Client, prompt: Prompt) -> Texts:
    engine = client.engine
    drafted = {
        "where they pay": engine.fresh_speculation(),
        "in every step": engine.fresh_speculation(costs_of(flat_ms(10.0))),
    }
    plain = engine.fresh_speculation()
    engine.use(plain, drafting=False)
    client.reply(prompt.messages, client.settings.max_tokens)
    for speculation in drafted.values():
        engine.use(speculation, drafting=True)
        client.reply(prompt.messages, client.settings.max_tokens)
    return Texts(prompt, plain.said, {way: speculation.said for way, speculation in drafted.items()})


def _rounding(subject: Subject, weights: Weights, context: Context, texts: list[Texts]) -> float:
    """Return the largest change of a gap, as the penalty for repetition stretches it."""
    rows = Rows(context)
    largest = 0.0
    for text in texts:
        target = subject.prompt_tokens(weights, text.prompt.messages)
        pairs = zip(rows.alone(target, text.plain), rows.batched(target, text.plain), strict=True)
        largest = max([largest, *(difference(alone, batched) for alone, batched in pairs)])
    return largest * subject.settings.repeat_penalty


def _judged(
    subject: Subject, weights: Weights, context: Context, text: Texts, way: str, rounding: float
) -> dict[str, str | float | None]:
    """Say by how much the two tokens differ that were chosen where the texts do so first."""
    drafted = text.drafted[way]
    place = first_difference(text.plain, drafted)
    said = text.plain[:place]
    logits = Rows(context).alone(subject.prompt_tokens(weights, text.prompt.messages), said)[-1]
    chances = _chances(subject, weights, said, logits)
    plain, other = (_chance(chances, tokens, len(said), weights.reply_ends()) for tokens in (text.plain, drafted))
    gap = abs(math.log(plain / other)) if plain and other else math.inf
    return {
        "prompt": text.prompt.messages[-1].content,
        "drafts": way,
        "at token": place,
        "gap": gap,
        "explained": "yes" if gap <= rounding else "no",
    }


def _chances(
    subject: Subject, weights: Weights, said: tuple[int, ...], logits: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the probability of every next token: the logarithms of two differ as their penalised logits do."""
    everything = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    sampler = Sampler(subject.settings.model_copy(update=everything), weights.vocabulary_size)
    sampler.reset(said)
    chances = sampler.distribution(logits)
    sampler.close()
    return chances


def _chance(chances: NDArray[np.float64], tokens: tuple[int, ...], place: int, ends: list[int]) -> float:
    """Return the probability of what was chosen at a place; after the last token it was an end of the reply."""
    return float(chances[tokens[place]] if place < len(tokens) else chances[ends].max())
