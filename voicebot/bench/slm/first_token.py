"""How long after a new sentence of the user the reply's first token is there."""

from __future__ import annotations

import random
from typing import Final

from voicebot.bench.slm.prompts import HISTORY, SENTENCES
from voicebot.bench.slm.report import Limit, Part
from voicebot.bench.slm.subject import Client, Subject
from voicebot.engines.protocols import Message
from voicebot.latency.percentiles import percentile

_WARM_LIMIT_MS: Final = 120.0
_PARTIAL_LIMIT_MS: Final = 50.0
_PARTIAL_WORDS: Final = (4, 7, 10)
"""After how many words of the sentence the recogniser says what it has heard so far, without a mark at the end."""
_SIGNS: Final = "?.!"
_COLD: Final = 4
"""Sentences of each repeat that are asked with nothing warm too, which takes ten times as long."""


def measure(subject: Subject) -> Part:
    """Ask every sentence after the same history, which one session keeps warm and new ones have to read."""
    times_ms: dict[str, list[float]] = {"nothing warm": [], "history warm": [], "history and partials warm": []}
    chance = random.Random(subject.settings.seed)  # noqa: S311
    with subject.client() as client:
        session = client.new_session()
        for _ in range(subject.repeats):
            for number, sentence in enumerate(chance.sample(SENTENCES, len(SENTENCES))):
                if number < _COLD:
                    times_ms["nothing warm"].append(_first_ms(client, sentence, client.new_session()))
                ways = [("history warm", ()), ("history and partials warm", partials(sentence))]
                for kind, heard in chance.sample(ways, 2):
                    client.prefill(HISTORY, session)  # which forgets what came after it
                    for partial in heard:
                        client.prefill((*HISTORY, Message("user", partial)), session)
                    times_ms[kind].append(_first_ms(client, sentence, session))
    p50_ms = {kind: percentile(times, 0.5) for kind, times in times_ms.items()}
    rows = [
        {
            "warm": kind,
            "runs": len(times),
            "p50 ms": p50_ms[kind],
            "p95 ms": percentile(times, 0.95),
            "max ms": max(times),
        }
        for kind, times in times_ms.items()
    ]
    limits = [
        Limit("first token p50 ms, history warm", p50_ms["history warm"], at_most=_WARM_LIMIT_MS),
        Limit("first token p50 ms, partials too", p50_ms["history and partials warm"], at_most=_PARTIAL_LIMIT_MS),
    ]
    return Part({"first token": rows}, limits)


def _first_ms(client: Client, sentence: str, session: str) -> float:
    return client.reply((*HISTORY, Message("user", sentence)), 1, session).first_ms


def partials(sentence: str) -> tuple[str, ...]:
    """Return what is heard of a sentence before it is complete."""
    words = sentence.split()
    return tuple(" ".join(words[:count]).rstrip(_SIGNS) for count in _PARTIAL_WORDS)
