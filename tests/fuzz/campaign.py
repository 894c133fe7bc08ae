"""Gives parsers many wrong inputs, in turn, and notes what may not be: exceptions that are not ours, hangs, leaks."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import psutil

from tests.fuzz.mutation import mutated
from voicebot.errors import VoicebotError

LONGEST_S: Final = 1.0
MOST_GROWTH_BYTES: Final = 16 << 20
"""Of the process, after its first tenth of inputs: a leak of 20 bytes in each of a million is more."""
_HANGS_S: Final = 600.0
"""For a thousand inputs, which take one."""
_MOST_FAILURES: Final = 20


@dataclass(frozen=True, slots=True)
class Parser:
    """What reads input from outside. `parse` may raise VoicebotError, and nothing else. `corpus` is valid."""

    name: str
    parse: Callable[[bytes], object]
    corpus: tuple[bytes, ...]


@dataclass(slots=True)
class Tally:
    """What came of one parser's inputs. Times are of the processor: a busy machine makes none of them longer."""

    taken: int = 0
    refused: int = 0
    cpu_s: float = 0.0
    slowest_s: float = 0.0
    slowest: bytes = b""


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that did what none may do."""

    parser: str
    data: bytes
    error: str


@dataclass(slots=True)
class Outcome:
    """What came of all of them."""

    tallies: dict[str, Tally]
    wall_s: float = 0.0
    rss_before: int = 0
    """In bytes, after the first tenth."""
    rss_after: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def growth_bytes(self) -> int:
        """How much larger the process has become."""
        return self.rss_after - self.rss_before


def campaign(parsers: Sequence[Parser], inputs: int, seed: int) -> Outcome:
    """Give that many inputs to the parsers in turn; ends early after 20 failures.

    A call that does not return ends the process, with a stack of its threads.
    """
    chances = {parser.name: random.Random(f"{seed} {parser.name}") for parser in parsers}  # noqa: S311 - it has to be repeatable
    outcome = Outcome({parser.name: Tally() for parser in parsers})
    process, began_s = psutil.Process(), time.perf_counter()
    for number in range(inputs):
        if number % 1000 == 0:
            faulthandler.dump_traceback_later(_HANGS_S, exit=True)
        if number == inputs // 10:
            outcome.rss_before = _rss(process)
        parser = parsers[number % len(parsers)]
        failed = _try(parser, mutated(parser.corpus, chances[parser.name]), outcome.tallies[parser.name])
        if failed is not None:
            outcome.failures.append(failed)
            if len(outcome.failures) >= _MOST_FAILURES:
                break
    faulthandler.cancel_dump_traceback_later()
    outcome.rss_after = _rss(process)
    outcome.wall_s = time.perf_counter() - began_s
    return outcome


def _rss(process: psutil.Process) -> int:
    """Return the memory in use, in bytes, without what the allocator keeps of blocks that were freed."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    rss: int = process.memory_info().rss
    return rss


def _try(parser: Parser, data: bytes, tally: Tally) -> Failure | None:
    began_s = time.process_time()
    failed = None
    try:
        parser.parse(data)
        tally.taken += 1
    except VoicebotError:
        tally.refused += 1
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        failed = Failure(parser.name, data, f"{type(error).__name__}: {str(error)[:200]}")
    took_s = time.process_time() - began_s
    tally.cpu_s += took_s
    if took_s > tally.slowest_s:
        tally.slowest_s, tally.slowest = took_s, data
    if failed is None and took_s > LONGEST_S:
        failed = Failure(parser.name, data, f"it took {took_s:.1f} s of the processor")
    return failed
