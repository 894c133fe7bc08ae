"""Several sessions at once: what they get together, whether each gets its share, and how long one more waits."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from statistics import mean, median
from typing import Final

from voicebot.bench.slm.prompts import CHAT, SENTENCES, Prompt
from voicebot.bench.slm.report import Limit, Part, Row
from voicebot.bench.slm.subject import Client, Subject
from voicebot.engines.protocols import Answer, Message
from voicebot.latency.percentiles import percentile

_COUNTS: Final = (1, 2, 4, 8)
_MOST: Final = max(_COUNTS)
_TOKENS: Final = 40
_PROMPTS: Final = CHAT[:10]
_TOTAL_LEAST: Final = 1.6
_SLOWEST_LEAST: Final = 0.7


@dataclass(frozen=True, slots=True)
class Together:
    """What some sessions got while all of them were replying, in tokens per second."""

    rates: tuple[float, ...]

    @property
    def total(self) -> float:
        """Of all together."""
        return sum(self.rates)

    @property
    def fairness(self) -> float:
        """The slowest one's rate over the mean; 0 where a reply had ended before all had begun."""
        return min(self.rates) / mean(self.rates) if self.total else 0.0


def measure(subject: Subject) -> Part:
    """Let 1 to 8 sessions reply at once, in turns; then let a ninth ask while eight are replying, and alone."""
    runs: dict[int, list[Together]] = {count: [] for count in _COUNTS}
    alone_ms: list[float] = []
    beside_ms: list[float] = []
    chance = random.Random(subject.settings.seed)  # noqa: S311
    with subject.client(slots=_MOST + 1) as client:
        for repeat in range(subject.repeats):
            for count in chance.sample(_COUNTS, len(_COUNTS)):
                runs[count].append(_together(client, chance.sample(_PROMPTS, count)))
            for sentence in chance.sample(SENTENCES, 4):
                ways = (0, _MOST) if repeat % 2 else (_MOST, 0)
                for others in ways:
                    times = beside_ms if others else alone_ms
                    times.append(_ninth_ms(client, chance.sample(_PROMPTS, others), sentence, chance))
    return Part(
        {"sessions at once": _rows(runs), "a ninth's first token": _ninth_rows(alone_ms, beside_ms)},
        [
            Limit("total tokens/s, 8 sessions to 1", _gain(runs), at_least=_TOTAL_LEAST),
            Limit(
                "slowest session's rate to the mean",
                median(run.fairness for run in runs[_MOST]),
                at_least=_SLOWEST_LEAST,
            ),
            Limit(
                "a ninth's first token p50 ms",
                median(beside_ms),
                at_most=2 * median(alone_ms) + subject.settings.step_ms,
            ),
        ],
    )


def _rows(runs: dict[int, list[Together]]) -> list[Row]:
    one = median(run.total for run in runs[1])
    return [
        {
            "sessions": str(count),
            "runs": len(some),
            "total tokens/s": median(run.total for run in some),
            "to one session": median(run.total for run in some) / one,
            "slowest to mean": median(run.fairness for run in some),
        }
        for count, some in runs.items()
    ]


def _gain(runs: dict[int, list[Together]]) -> float:
    return median(run.total for run in runs[_MOST]) / median(run.total for run in runs[1])


def _ninth_rows(alone_ms: list[float], beside_ms: list[float]) -> list[Row]:
    return [
        {"others": others, "runs": len(times), "p50 ms": median(times), "p95 ms": percentile(times, 0.95)}
        for others, times in (("0", alone_ms), (str(_MOST), beside_ms))
    ]


def _together(client: Client, prompts: list[Prompt]) -> Together:
    """Return the rates from when all have begun until the first one has ended."""
    client.engine.use(client.engine.fresh_speculation(), drafting=client.settings.speculation)
    client.rest()
    answers = _begin(client, prompts, _TOKENS)
    began_s, before = time.perf_counter(), [len(answer.items) for answer in answers]
    while not any(answer.ended for answer in answers):
        client.engine.step()
    spent_s = time.perf_counter() - began_s
    rates = tuple((len(answer.items) - had) / spent_s for answer, had in zip(answers, before, strict=True))
    client.finish(*answers)
    return Together(rates)


def _ninth_ms(client: Client, prompts: list[Prompt], sentence: str, chance: random.Random) -> float:
    """Return the time to the first token of a new session that asks at a random moment of the others' step."""
    client.engine.use(client.engine.fresh_speculation(), drafting=client.settings.speculation)
    client.rest()
    answers = _begin(client, prompts, client.settings.context_tokens // 4)
    asked_s = time.perf_counter()
    if answers:
        client.engine.step()
        asked_s += chance.random() * (time.perf_counter() - asked_s)
    ninth = client.start((Message("user", sentence),), client.new_session(), 1, flag=_MOST)
    client.finish(ninth)
    waited_ms = (time.perf_counter() - asked_s) * 1000
    for flag in range(len(answers)):
        client.cancel(client.flags[flag])
    while client.engine.busy:
        client.engine.step()
    for flag in range(len(answers)):
        client.flags[flag].clear()
    return waited_ms


def _begin(client: Client, prompts: list[Prompt], most: int) -> list[Answer]:
    """Ask all of it at once, and return when each reply has begun."""
    answers = [client.start(prompt.messages, client.new_session(), most, flag) for flag, prompt in enumerate(prompts)]
    while not all(answer.items for answer in answers):
        client.engine.step()
    return answers
