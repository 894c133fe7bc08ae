"""The same replies with and without drafts, one after the other, the order alternating."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from voicebot.bench.slm.observed import ObservedSpeculation
from voicebot.bench.slm.prompts import Prompt
from voicebot.bench.slm.ratios import interval, mean_ratio
from voicebot.bench.slm.report import Row
from voicebot.bench.slm.subject import Client, TimedReply


@dataclass(frozen=True, slots=True)
class Pair:
    """One prompt's reply both ways."""

    plain: TimedReply
    drafted: TimedReply

    @property
    def ratio(self) -> float | None:
        """How many times as fast the tokens came with drafts; None for a reply of fewer than two."""
        plain, drafted = self.plain.tokens_per_s, self.drafted.tokens_per_s
        return drafted / plain if plain and drafted else None


def run_pairs(client: Client, prompts: Sequence[Prompt], repeats: int) -> tuple[list[Pair], list[ObservedSpeculation]]:
    """Return all pairs, and for each repeat what drafted in it.

    Each repeat begins with nothing learnt, so that nobody has heard a reply before but where the prompt says so.
    """
    pairs, drafters = [], []
    chance = random.Random(client.settings.seed)  # noqa: S311
    engine, most = client.engine, client.settings.max_tokens
    for repeat in range(repeats):
        drafting = engine.fresh_speculation()
        drafters.append(drafting)
        for index, prompt in enumerate(chance.sample(prompts, len(prompts))):
            if prompt.said_before:
                engine.use(drafting, drafting=False)
                client.reply(prompt.messages, most)
            found: dict[bool, TimedReply] = {}
            for drafted in (False, True) if (repeat + index) % 2 else (True, False):
                engine.use(drafting if drafted else engine.fresh_speculation(), drafting=drafted)
                found[drafted] = client.reply(prompt.messages, most)
            pairs.append(Pair(found[False], found[True]))
    return pairs, drafters


def pairs_row(kind: str, pairs: Sequence[Pair]) -> Row:
    """Return the figures of some pairs: rates, the mean ratio, its 95 % interval, and how many texts differ."""
    ratios = [ratio for pair in pairs if (ratio := pair.ratio) is not None]
    low, high = interval(ratios)
    return {
        "replies": kind,
        "pairs": len(ratios),
        "plain tokens/s": _p50([pair.plain for pair in pairs]),
        "drafted tokens/s": _p50([pair.drafted for pair in pairs]),
        "ratio": mean_ratio(ratios),
        "95 % low": low,
        "95 % high": high,
        "other texts": sum(pair.plain.text != pair.drafted.text for pair in pairs),
    }


def _p50(replies: Sequence[TimedReply]) -> float | None:
    rates = [rate for reply in replies if (rate := reply.tokens_per_s) is not None]
    return median(rates) if rates else None
