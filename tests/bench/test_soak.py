"""The soak: random requests with random cancels, and that it would find what is wrong."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.engines.llama.talk import FRANCE, SYSTEM, ask
from voicebot.bench.soak.alone import Alone
from voicebot.bench.soak.inside import Inside
from voicebot.bench.soak.rounding import difference, first_difference
from voicebot.bench.soak.run import compare, failures, slope, soak
from voicebot.bench.soak.talker import Talker, talkers
from voicebot.config.pipeline import SlmSettings
from voicebot.engines.llama.context import Span
from voicebot.engines.llama.engine import LlamaEngine
from voicebot.engines.protocols import SlmRequest
from voicebot.models.store import Store
from voicebot.workers.flags import CancelFlags

SETTINGS = SlmSettings(context_tokens=256, slots=2, temperature=0.0)


@pytest.fixture(scope="module")
def gguf(store: Store) -> Path:
    return store.path("smollm2-135m-instruct-q4_1")


@pytest.fixture(scope="module")
def flags() -> Iterator[CancelFlags]:
    flags = CancelFlags.create()
    yield flags
    flags.close()


@pytest.fixture(scope="module")
def alone(gguf: Path, flags: CancelFlags) -> Iterator[Alone]:
    with Alone(gguf, SETTINGS, 1, 2, flags.own) as alone:
        yield alone


def test_random_requests_are_answered_as_if_they_were_alone_and_leave_nothing_behind(gguf: Path) -> None:
    settings = SlmSettings(slots=2)
    result = soak(gguf, settings, (1, 2), requests=60, sessions=3, seed=7, rows=50)
    assert failures(result, limit_mb=20) == []  # so short a run says little about memory
    assert sum(result["requests"].values()) == 60
    assert min(result["requests"].values()) > 0
    assert set(result["cancelled"]) == {"flag", "alarm", "thread"}
    assert result["answers"] >= 20
    assert result["draft_tokens"]["accepted"] > 0


def test_a_wrong_token_is_no_rounding(alone: Alone) -> None:
    right = alone.answer(SlmRequest("generate", FRANCE, max_tokens=6))
    assert alone.gap(right) is None
    wrong = dataclasses.replace(right, reply=[*right.reply[:3], right.reply[0], *right.reply[4:]])
    gap = alone.gap(wrong)
    assert gap is not None
    assert gap > 1
    cut = dataclasses.replace(right, reply=right.reply[:2])
    assert (alone.gap(cut) or 0) > 1
    figures = compare(alone, [right, wrong, cut], rows=7)
    assert (figures["replies"], figures["replies_that_differ"], figures["wrong_replies"]) == (3, 2, 2)
    assert figures["rounding"]["max"] < 1


def test_cells_that_stay_behind_are_found(gguf: Path, flags: CancelFlags) -> None:
    engine = LlamaEngine(gguf, SETTINGS, threads=1, prefill_threads=2)
    inside = Inside(engine)
    ask(engine, SlmRequest("prefill", FRANCE), flags[0])
    assert inside.leaks() == []
    assert inside.room() == inside.free_cells()
    (slot,) = [place.slot for place in engine._places if len(place.slot)]
    engine._context.decode([Span(slot.sequence, len(slot), [1, 1, 1])], flags.own.address)
    assert inside.leaks() == [f"slot {slot.sequence} says {len(slot)} tokens and holds {len(slot) + 3}"]
    assert inside.room() == inside.free_cells() - 3
    engine.submit(SlmRequest("prefill", FRANCE), flags[0])
    assert "a request is under way" in inside.leaks()
    engine.close()


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - what is asked, and no secret


def requests_of(talker: Talker, count: int) -> list[SlmRequest]:
    requests = []
    for _ in range(count):
        requests.append(talker.ask())
        talker.hear("Indeed.")
    return requests


def test_the_same_seed_asks_the_same() -> None:
    def asked(seed: int) -> list[SlmRequest]:
        return [request for talker in talkers(6, SYSTEM, seeded(seed)) for request in requests_of(talker, 20)]

    assert asked(1) == asked(1) != asked(2)
    assert {request.op for request in asked(1)} == {"prefill", "end", "generate"}


def test_a_conversation_grows_and_begins_again() -> None:
    lengths = [len(request.messages) for request in requests_of(Talker("", "plain", SYSTEM, seeded(1)), 40)]
    assert set(lengths) == {2, 4, 6}
    assert all(after in (before, before + 2, 2) for before, after in itertools.pairwise(lengths))


def test_a_reply_that_was_not_begun_leaves_the_conversation_as_it_was() -> None:
    talker = Talker("", "plain", SYSTEM, seeded(1))
    first = next(request for request in iter(talker.ask, None) if talker.waits)
    talker.hear("")
    again = next(request for request in iter(talker.ask, None) if talker.waits)
    assert again.messages == first.messages


def test_rows_differ_by_the_gaps_between_their_best_tokens() -> None:
    row = np.arange(20, dtype=np.float32)
    assert difference(row, row + 5) == 0  # all by the same changes no probability
    other = row.copy()
    other[0] += 100  # none of the best
    other[19] -= 0.5
    assert difference(row, other) == pytest.approx(0.5)


def test_the_first_difference_of_two_replies() -> None:
    assert first_difference([1, 2], [1, 2]) is None
    assert first_difference([1, 2], [1, 3]) == 1
    assert first_difference([1, 2], [1, 2, 3]) == 2


def test_growth_is_that_of_a_line() -> None:
    assert slope([]) == slope([3.0]) == 0
    assert slope([1.0, 3.0, 5.0]) == pytest.approx(2)


def test_what_is_wrong_is_said() -> None:
    good = {"errors": [], "leaks": [], "cells": {"free": 9, "fillable": 9}, "wrong_replies": 0, "wrong_lengths": 0}
    good["rss_mb_per_100_requests"] = 0.2
    assert failures(good, 1.0) == []
    bad = {**good, "cells": {"free": 9, "fillable": 8}, "wrong_replies": 2}
    assert failures(bad, 0.1) == [
        "9 cells should be free, 8 are.",
        "2 replies are not those given alone.",
        "memory grows by 0.2 MB in 100 requests.",
    ]
