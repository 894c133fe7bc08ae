"""What a step costs by the number of its tokens, and what one session gets of it."""

from __future__ import annotations

import time
from statistics import median
from typing import Final

from voicebot.bench.slm.prompts import CHAT, HISTORY
from voicebot.bench.slm.report import Part
from voicebot.bench.slm.subject import Subject
from voicebot.engines.llama.context import BATCH_TOKENS, Context, Span
from voicebot.engines.llama.draft_length import StepCosts
from voicebot.latency.percentiles import percentile
from voicebot.workers.flags import CancelFlags

TOKENS: Final = (1, 2, 4, 8, 16, 32)
_ROUNDS: Final = 7
"""Of each repeat."""


def measure(subject: Subject) -> Part:
    """Measure v(k), and the rate of replies without speculation."""
    rates = []
    with subject.client(speculation=False, temperature=0.0) as client:
        for _ in range(subject.repeats):
            replies = [client.reply(prompt.messages, client.settings.max_tokens) for prompt in CHAT]
            rates += [rate for reply in replies if (rate := reply.tokens_per_s) is not None]
    curve = step_costs_ms(subject)
    return Part(
        {
            "one session, plain": [
                {"replies": len(rates), "p50 tokens/s": median(rates), "p5 tokens/s": percentile(rates, 0.05)}
            ],
            "v(k)": [{"k": size, "ms": ms, "ms per token": ms / size} for size, ms in curve.items()],
        }
    )


def step_costs_ms(subject: Subject) -> dict[int, float]:
    """Return v(k): the median of what a step of k tokens takes after a history, each with its row of logits."""
    times_ms: dict[int, list[float]] = {size: [] for size in TOKENS}
    with subject.weights() as weights, subject.context(weights, subject.settings.context_tokens, 1) as context:
        history = subject.prompt_tokens(weights, HISTORY)[: subject.settings.context_tokens - max(TOKENS)]
        flags = CancelFlags.create()
        for begin in range(0, len(history), BATCH_TOKENS):
            context.decode([Span(0, begin, history[begin : begin + BATCH_TOKENS])], flags.own.address)
        for _ in range(_ROUNDS * subject.repeats):
            for size, times in times_ms.items():
                times.append(_step_ms(context, history, size, flags.own.address))
        flags.close()
    return {size: median(times) for size, times in times_ms.items()}


def costs_of(curve_ms: dict[int, float]) -> StepCosts:
    """Return a cost model that has seen this curve."""
    costs = StepCosts()
    for size, ms in curve_ms.items():
        costs.observe(size, ms)
    return costs


def flat_ms(one_ms: float) -> dict[int, float]:
    """Return the curve of a box on which memory is the bottleneck: a further token costs a hundredth of the first."""
    return {size: one_ms * (1 + 0.01 * (size - 1)) for size in TOKENS}


def _step_ms(context: Context, history: list[int], size: int, abort: int) -> float:
    began_s = time.perf_counter()
    context.decode([Span(0, len(history), history[:size], range(size))], abort)
    took_ms = (time.perf_counter() - began_s) * 1000
    context.forget(0, len(history))
    return took_ms
