"""The race against llama-cpp-python: how it is counted, and one prompt run by all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.engines.llama.talk import FRANCE
from voicebot.bench.slm_peers import (
    Conversation,
    Ours,
    Pair,
    Prompt,
    Run,
    Speaker,
    Theirs,
    failures,
    paired,
    report,
    timed,
)
from voicebot.config.pipeline import SlmSettings
from voicebot.engines.protocols import Message
from voicebot.errors import EngineError
from voicebot.models.store import Store

FAST, SLOW = Run(50, 100, "Paris."), Run(100, 50, "Paris.")
EVEN = Pair(FAST, FAST)
WON = Pair(FAST, SLOW)


def test_a_reply_is_timed_from_its_beginning_and_its_rate_from_its_first_piece() -> None:
    def pieces() -> Iterator[str]:
        time.sleep(0.02)
        yield "Par"
        time.sleep(0.01)
        yield "is."

    run = timed(pieces())
    assert run.text == "Paris."
    assert run.first_ms >= 20
    assert 0 < run.tokens_per_s <= 100
    assert timed(iter(["One"])).tokens_per_s == 0
    with pytest.raises(EngineError, match="empty"):
        timed(iter([]))


def test_who_is_first_changes_and_each_has_answered_the_turn_before() -> None:
    said: list[tuple[str, int]] = []

    def speaker(name: str) -> Speaker:
        def say(messages: tuple[Message, ...], tokens: int) -> Iterator[str]:
            said.append((name, len(messages)))
            yield "a" * tokens
            yield name

        return say

    conversation = Conversation(FRANCE[:1], FRANCE)
    pairs = paired(speaker("ours"), speaker("theirs"), conversation, 2, 3)
    order = [name for name, messages in said if messages == len(FRANCE)]
    assert order == ["ours", "theirs", "theirs", "ours"]
    assert [messages for _, messages in said] == [1, 2] * 4
    assert [(pair.ours.text, pair.theirs.text) for pair in pairs] == [("aaaours", "aaatheirs")] * 2


def test_ratios_above_1_are_ours() -> None:
    result = report([Prompt("a", [WON, WON, EVEN]), Prompt("b", [EVEN])])
    assert result["first_ratio"] == {"median": 1.5, "least": 1.0}
    assert result["rate_ratio"] == {"median": 1.5, "least": 1.0}
    assert result["same_texts"] == 2
    (row, _) = result["prompts"].values()
    assert (row["first_ms"], row["tokens_per_s"]) == ([50, 100], [100, 50])


def test_a_reply_of_one_token_has_no_rate() -> None:
    single = Run(50, 0.0, "Yes")
    result = report([Prompt("a", [Pair(single, single)]), Prompt("b", [WON])])
    assert result["rate_ratio"] == {"median": 2.0, "least": 2.0}


def test_being_slower_is_said() -> None:
    assert failures({"peer": report([Prompt("a", [WON])])}, 0.95) == []
    assert failures({"peer": report([Prompt("a", [EVEN])])}, 0.95) == [
        "first_ratio against peer: 1.0 in the median, 1.0 at least.",
        "rate_ratio against peer: 1.0 in the median, 1.0 at least.",
    ]
    lost = report([Prompt("a", [WON]), Prompt("b", [WON]), Prompt("c", [Pair(SLOW, FAST)])])
    assert failures({"peer": lost}, 0.95) == [
        "first_ratio against peer: 2.0 in the median, 0.5 at least.",
        "rate_ratio against peer: 2.0 in the median, 0.5 at least.",
    ]


@pytest.mark.parametrize("lookup", [False, True])
def test_all_say_the_same(store: Store, lookup: bool) -> None:
    model = store.path("smollm2-135m-instruct-q4_1")
    settings = SlmSettings(context_tokens=256, temperature=0.0)
    with (
        closing(Ours(model, settings, (1, 2))) as ours,
        closing(Theirs(model, settings, (1, 2), lookup=lookup, flash=True)) as theirs,
    ):
        assert "Paris" in "".join(ours.say(FRANCE, 12))
        assert "Paris" in "".join(theirs.say(FRANCE, 12))
