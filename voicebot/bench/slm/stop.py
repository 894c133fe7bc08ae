"""How long after a cancel the engine is quiet, and whether the next request is answered as if nothing had been."""

from __future__ import annotations

import random
import threading
import time
from typing import Final

from voicebot.bench.slm.prompts import CHAT, LONG_TEXT, talk
from voicebot.bench.slm.report import Limit, Part, Row
from voicebot.bench.slm.subject import Client, Subject
from voicebot.engines.protocols import Message
from voicebot.errors import CancelledWorkError
from voicebot.latency.percentiles import percentile

_P95_LIMIT_MS: Final = 30.0
_CANCELS: Final = 10
"""Of each repeat and each kind of work."""
_NEXT: Final = talk("What is the capital of France?")
"""Its reply is so certain that no rounding changes it."""
_NEXT_TOKENS: Final = 12
_SHOWN_SHARE: Final = 0.9
"""Of the time that the work takes in full: later the cancel might come after its end."""


def measure(subject: Subject) -> Part:
    """Cancel the reading of a long prompt, and replies, each at a random moment and from another thread."""
    chance = random.Random(subject.settings.seed)  # noqa: S311
    works = {"reading": (talk(LONG_TEXT + " What did they see?").messages, 1), "replying": (CHAT[0].messages, 60)}
    rows: list[Row] = []
    limits: list[Limit] = []
    with subject.client(temperature=0.0) as client:
        for kind, (messages, most) in works.items():
            expected = client.reply(_NEXT.messages, _NEXT_TOKENS).text
            stops_ms: list[float] = []
            others = 0
            whole_ms = client.reply(messages, most).moments_ms[-1]
            for _ in range(_CANCELS * subject.repeats):
                session = client.new_session()
                after_ms = chance.random() * _SHOWN_SHARE * whole_ms
                if (stop_ms := _stop_ms(client, messages, session, most, after_ms)) is not None:
                    stops_ms.append(stop_ms)
                    others += client.reply(_NEXT.messages, _NEXT_TOKENS, session).text != expected
            p95_ms = percentile(stops_ms, 0.95)
            rows.append(
                {
                    "cancelled while": kind,
                    "cancels": len(stops_ms),
                    "p50 ms": percentile(stops_ms, 0.5),
                    "p95 ms": p95_ms,
                    "max ms": max(stops_ms, default=None),
                    "next reply differs": others,
                }
            )
            limits.append(Limit(f"stop p95 ms, {kind}", p95_ms, at_most=_P95_LIMIT_MS))
            limits.append(Limit(f"next replies that differ, {kind}", others, at_most=0))
    return Part({"stop": rows}, limits)


def _stop_ms(client: Client, messages: tuple[Message, ...], session: str, most: int, after_ms: float) -> float | None:
    """Return the milliseconds from the cancel to the end of the answer and of the step; None where it was done before.

    The cancel is raised `after_ms` after the request.
    """
    client.engine.use(client.engine.fresh_speculation(), drafting=client.settings.speculation)
    client.rest()
    flag = client.flags[0]
    raised_s: list[float] = []

    def raise_it() -> None:
        time.sleep(after_ms / 1000)
        raised_s.append(time.perf_counter())
        client.cancel(flag)

    canceller = threading.Thread(target=raise_it, name="canceller")
    answer = client.start(messages, session, most)
    canceller.start()
    while not answer.ended:
        client.engine.step()
    ended_s = time.perf_counter()
    canceller.join()
    flag.clear()
    return (ended_s - raised_s[0]) * 1000 if isinstance(answer.error, CancelledWorkError) else None
