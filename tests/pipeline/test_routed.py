"""Several models as one, in virtual time: who answers, who stands in, and that nobody is kept working for nothing."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Any

import pytest

from tests.pipeline.tier_scene import COMPLEX, HARD, LARGE, OFFICE, SIMPLE, Heard, Tier, ask, routed
from voicebot.clock import run_virtual
from voicebot.config.tiers import RouterSettings, TierSettings
from voicebot.engines.protocols import Message
from voicebot.errors import EngineError
from voicebot.pipeline.routed import RoutedSlm
from voicebot.pipeline.stages import Slm

SMALL_WORDS = "s1 s2 s3 s4 s5 s6 s7 s8 s9"
LARGE_WORDS = "l1 l2 l3 l4"


def heard(slm: RoutedSlm, text: str, *, most: int = 60, begun: str = "") -> Heard:
    return run_virtual(ask(slm, text, most, begun))


def test_it_is_what_the_pipeline_wants() -> None:
    slm: Slm = routed(Tier("yes"), {LARGE: Tier("no")})
    assert run_virtual(slm.end_probability((Message("user", "x"),))) == 0.25


def test_a_simple_request_is_answered_by_the_small_one() -> None:
    small, large = Tier(SMALL_WORDS), Tier(LARGE_WORDS)
    reply = heard(routed(small, {LARGE: large}), SIMPLE)
    assert reply.text == SMALL_WORDS
    assert large.asked == []


def test_a_complex_request_is_answered_by_the_larger_one_alone() -> None:
    small, large = Tier(SMALL_WORDS), Tier(LARGE_WORDS, first_ms=400)
    reply = heard(routed(small, {LARGE: large}), COMPLEX)
    assert (reply.text, reply.first_ms) == (LARGE_WORDS, 400)
    assert small.asked == []


def test_the_first_tokens_are_held_only_where_there_is_somebody_to_raise_to() -> None:
    rules = RouterSettings(sample_tokens=6)
    small = Tier(SMALL_WORDS)
    assert heard(routed(small, {LARGE: Tier(LARGE_WORDS)}, rules), SIMPLE).at_ms[:7] == [110] * 6 + [120]

    async def hot() -> float:
        return 95.0

    assert heard(routed(small, {LARGE: Tier(LARGE_WORDS)}, rules, hot), SIMPLE).at_ms[:3] == [60, 70, 80]


def test_an_unsure_reply_is_raised_once_before_anything_of_it_is_heard() -> None:
    small, large = Tier(SMALL_WORDS, logprob=-3.0), Tier(LARGE_WORDS, first_ms=200, logprob=-9.0)
    office = Tier("o1 o2")
    reply = heard(routed(small, {LARGE: large, OFFICE: office}), SIMPLE)
    assert (reply.text, reply.first_ms) == (LARGE_WORDS, 110 + 200)
    assert (len(small.asked), len(large.asked), office.asked) == (1, 1, [])  # however unsure the larger one is
    assert small.left == 1


def test_a_short_reply_is_judged_whole() -> None:
    assert heard(routed(Tier("Paris.", logprob=-0.1), {LARGE: Tier(LARGE_WORDS)}), SIMPLE).text == "Paris."
    assert heard(routed(Tier("Perhaps.", logprob=-4.0), {LARGE: Tier(LARGE_WORDS)}), SIMPLE).text == LARGE_WORDS


def test_a_model_that_does_not_tell_how_sure_it_is_is_believed() -> None:
    assert heard(routed(Tier(SMALL_WORDS, logprob=None), {LARGE: Tier(LARGE_WORDS)}), SIMPLE).text == SMALL_WORDS


def test_a_slow_small_one_is_judged_by_fewer_tokens_so_that_there_is_time_left() -> None:
    small, large = Tier(SMALL_WORDS, first_ms=300, each_ms=200, logprob=-3.0), Tier(LARGE_WORDS, first_ms=100)
    reply = heard(routed(small, {LARGE: large}, RouterSettings(deadline_ms=900)), SIMPLE)
    assert (reply.text, reply.first_ms) == (LARGE_WORDS, 600)


@pytest.mark.parametrize("better", [Tier("x", stalls_after=0), Tier("x", fails_after=0), Tier("")])
@pytest.mark.parametrize(("tier", "requests"), [(OFFICE, 1), (LARGE, 2)], ids=["remote", "local"])
@pytest.mark.parametrize("words", [SMALL_WORDS, "s1 s2"], ids=["long", "short"])
def test_when_raising_fails_what_the_small_one_has_said_is_there(
    better: Tier, tier: TierSettings, requests: int, words: str
) -> None:
    small = Tier(words, logprob=-3.0)
    reply = heard(routed(small, {tier: better}), SIMPLE)
    # It goes on beside another machine; beside another model of this box it waits, and takes up its reply again.
    assert (reply.text, len(small.asked)) == (words, 1 if words == "s1 s2" else requests)
    assert reply.first_ms <= RouterSettings().deadline_ms


@pytest.mark.parametrize(
    ("larger", "first_ms"),
    [
        (Tier(LARGE_WORDS, fails_after=0), 60 + 60),
        (Tier(""), 60),
        (Tier(LARGE_WORDS, stalls_after=0), 600 + 60),
        (Tier(LARGE_WORDS, first_ms=601), 600 + 60),
    ],
    ids=["error", "nothing", "stall", "late"],
)
def test_the_small_one_stands_in_within_the_deadline(
    larger: Tier, first_ms: int, caplog: pytest.LogCaptureFixture
) -> None:
    small = Tier(SMALL_WORDS)
    reply = heard(routed(small, {LARGE: larger}), COMPLEX)
    assert (reply.text, reply.first_ms) == (SMALL_WORDS, first_ms)
    assert first_ms < RouterSettings().deadline_ms
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("the tier large failed (")


def test_a_late_tier_is_stopped() -> None:
    office = Tier("o1 o2", stalls_after=0)
    heard(routed(Tier(SMALL_WORDS), {OFFICE: office}), COMPLEX)
    assert office.left == 1


def test_a_tier_that_fails_in_the_middle_is_gone_on_with_by_the_small_one() -> None:
    small, large = Tier(SMALL_WORDS), Tier(LARGE_WORDS, fails_after=2)
    reply = heard(routed(small, {LARGE: large}), COMPLEX, most=5)
    assert reply.text == "l1 l2 s3 s4 s5"
    assert small.asked == [(COMPLEX, 3, "l1 l2 ")]


def test_a_tier_that_fails_at_the_last_token_leaves_nothing_to_say() -> None:
    class OneTooMany(Tier):
        async def pieces(self, *asked: Any, **how: Any) -> Any:
            async for piece in super().pieces(*asked, **how):
                yield piece
            raise EngineError("the end is missing.")

    small = Tier(SMALL_WORDS)
    assert heard(routed(small, {LARGE: OneTooMany(LARGE_WORDS)}), COMPLEX, most=4).text == LARGE_WORDS
    assert small.asked == []


@pytest.mark.parametrize("fails_after", [0, 2, 7])
def test_when_the_small_one_fails_the_reply_fails(fails_after: int) -> None:
    small = Tier(SMALL_WORDS, fails_after=fails_after)
    with pytest.raises(EngineError, match="the scripted model fails"):
        heard(routed(small, {LARGE: Tier(LARGE_WORDS)}), SIMPLE)
    with pytest.raises(EngineError, match="the scripted model fails"):
        heard(routed(Tier(SMALL_WORDS, fails_after=0), {LARGE: Tier(LARGE_WORDS, fails_after=1)}), COMPLEX)


def test_a_tier_that_has_failed_is_left_alone_for_a_while() -> None:
    large = Tier(LARGE_WORDS, fails_after=0)

    async def main() -> list[str]:
        slm = routed(Tier(SMALL_WORDS), {LARGE: large}, RouterSettings(rest_ms=5000))
        await ask(slm, COMPLEX)
        large.fails_after = None
        replies = [(await ask(slm, COMPLEX)).text]
        await asyncio.sleep(5)
        return [*replies, (await ask(slm, COMPLEX)).text]

    assert run_virtual(main()) == [SMALL_WORDS, LARGE_WORDS]


def test_a_tier_that_had_too_little_time_is_not_blamed_for_it() -> None:
    large = Tier(LARGE_WORDS, first_ms=430)

    async def main() -> list[str]:
        small = Tier(SMALL_WORDS, first_ms=500, logprob=-3.0)  # which leaves 400
        slm = routed(small, {LARGE: large})
        return [(await ask(slm, text)).text for text in (SIMPLE, SIMPLE, COMPLEX)]

    assert run_virtual(main()) == [SMALL_WORDS, SMALL_WORDS, LARGE_WORDS]
    assert len(large.asked) == 2  # the second time it was known to be too slow for what was left


def test_leaving_stops_whoever_answers() -> None:
    async def leave(slm: RoutedSlm, text: str, pieces: int) -> None:
        async with aclosing(slm.generate((Message("user", text),), 60)) as stream:
            for _ in range(pieces):
                await anext(stream)

    for model, text in (("small", SIMPLE), ("office", COMPLEX)):
        tiers = {"small": Tier(SMALL_WORDS), "office": Tier(SMALL_WORDS)}
        run_virtual(leave(routed(tiers["small"], {OFFICE: tiers["office"]}), text, 2))
        assert {name for name, tier in tiers.items() if tier.left} == {model}


@pytest.mark.parametrize("after_ms", [30, 85, 150, 250])
def test_a_cancel_at_any_time_stops_all_that_are_at_work(after_ms: int) -> None:
    small, office = Tier(SMALL_WORDS, logprob=-3.0, each_ms=20), Tier("o1 o2 o3", first_ms=60, each_ms=60)

    async def main() -> None:
        slm = routed(small, {OFFICE: office})
        asking = asyncio.create_task(ask(slm, SIMPLE))
        await asyncio.sleep(after_ms / 1000)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        said = small.said, office.said
        await asyncio.sleep(1)
        assert (small.said, office.said) == said
        assert (await ask(slm, COMPLEX)).text == "o1 o2 o3"  # nothing is thought to be in flight, or to have failed

    run_virtual(main())


def test_more_than_a_tier_can_take_goes_to_others() -> None:
    small, large, office = Tier(SMALL_WORDS), Tier(LARGE_WORDS), Tier("o1 o2")

    async def main() -> list[str]:
        slm = routed(small, {LARGE: large, OFFICE: office})
        asking = []
        for number in range(3):
            asking.append(asyncio.create_task(ask(slm, COMPLEX, session=str(number))))
            await asyncio.sleep(0.001)
        return [(await task).text for task in asking]

    assert run_virtual(main()) == [LARGE_WORDS, "o1 o2", SMALL_WORDS]


def test_a_tier_says_no_more_than_its_own_most() -> None:
    terse = LARGE.model_copy(update={"max_tokens": 2})
    assert heard(routed(Tier(SMALL_WORDS), {terse: Tier(LARGE_WORDS)}), COMPLEX).text == "l1 l2"
    assert heard(routed(Tier(SMALL_WORDS), {terse: Tier(LARGE_WORDS)}), COMPLEX, most=1).text == "l1"


def test_a_conversation_is_taken_in_by_the_small_one_and_who_answered_last_on_this_box() -> None:
    small, large, office = Tier(SMALL_WORDS), Tier(LARGE_WORDS), Tier("o1 o2")

    async def main() -> list[int]:
        slm = routed(small, {LARGE: large, OFFICE: office})
        computed = []
        for text in (SIMPLE, COMPLEX, HARD):
            await ask(slm, text, session="kitchen")
            computed.append(await slm.prefill((Message("user", text),), session="kitchen"))
            await slm.prefill((Message("user", text),), session="hall")
        return computed

    assert run_virtual(main()) == [7, 7, 7]
    assert len(small.prefills) == 6
    assert (large.prefills, office.prefills) == ([f"kitchen: {COMPLEX}"], [])


def test_a_prefill_that_fails_beside_the_small_one_costs_nothing() -> None:
    small, large = Tier(SMALL_WORDS), Tier(LARGE_WORDS)

    async def main() -> int:
        slm = routed(small, {LARGE: large})
        await ask(slm, COMPLEX)
        large.fails_after = 0
        return await slm.prefill((Message("user", "more"),))

    assert run_virtual(main()) == 7


def test_a_reply_that_was_put_down_is_gone_on_with_by_a_local_model() -> None:
    small, large, office = Tier(SMALL_WORDS), Tier(LARGE_WORDS), Tier("o1 o2")

    async def main() -> list[str]:
        slm = routed(small, {LARGE: large, OFFICE: office})
        texts = []
        for text in (COMPLEX, HARD):
            await ask(slm, text)
            texts.append((await ask(slm, text, begun="It is ")).text)
        return texts

    assert run_virtual(main()) == ["l3 l4", "s3 s4 s5 s6 s7 s8 s9"]
    assert (large.asked[-1], small.asked[-1]) == ((COMPLEX, 60, "It is "), (HARD, 60, "It is "))
