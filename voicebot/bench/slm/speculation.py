"""Speculative against plain decoding: where a reply quotes, where it doesn't, and where all guesses are misled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from voicebot.bench.slm.observed import ObservedSpeculation
from voicebot.bench.slm.pairs import Pair, pairs_row, run_pairs
from voicebot.bench.slm.prompts import CHAT, MISLEADING, QUOTING
from voicebot.bench.slm.report import Limit, Part, Row
from voicebot.bench.slm.subject import Subject

_KINDS: Final = {"quoting": QUOTING, "open chat": CHAT, "misleading": MISLEADING}
_QUOTING_LEAST: Final = 1.25
_NO_LOSS: Final = 0.97


def measure(subject: Subject) -> Part:
    """Run every kind in pairs."""
    pairs: dict[str, list[Pair]] = {}
    sources: list[Row] = []
    with subject.comparing() as client:
        for kind, prompts in _KINDS.items():
            pairs[kind], drafters = run_pairs(client, prompts, subject.repeats)
            sources += source_rows(kind, drafters)
    rows = {kind: pairs_row(kind, found) for kind, found in pairs.items()}
    limits = [
        Limit("quoting, mean ratio", _number(rows["quoting"], "ratio"), at_least=_QUOTING_LEAST),
        Limit("open chat, lower end", _number(rows["open chat"], "95 % low"), at_least=_NO_LOSS),
        Limit("misleading, lower end", _number(rows["misleading"], "95 % low"), at_least=_NO_LOSS),
    ]
    return Part({"drafted against plain": list(rows.values()), "drafts by source": sources}, limits)


def source_rows(kind: str, drafters: Sequence[ObservedSpeculation]) -> list[Row]:
    """Return a row for each source of drafts: how many tokens it proposed, and what became of them."""
    rows: list[Row] = []
    for source in ("ngram", "phrases", "model"):
        proposed = sum(each.proposed[source] for each in drafters)
        accepted = sum(each.accepted[source] for each in drafters)
        if proposed:
            share = accepted / proposed
            rows.append(
                {"replies": kind, "source": source, "proposed": proposed, "accepted": accepted, "acceptance": share}
            )
    return rows


def _number(row: Row, name: str) -> float | None:
    value = row[name]
    return value if isinstance(value, float) else None
