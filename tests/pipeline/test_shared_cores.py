"""The shared cores, in virtual time: who is waited for never waits, and all others begin after a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebot.clock import LoopClock, run_virtual
from voicebot.cpu.lease import Lease
from voicebot.pipeline.shared_cores import LONGEST_WAIT_S, SharedCores, Urgency

CLOCK = LoopClock()
LINGER_S = 0.05


@dataclass
class Work:
    """Something that takes a while; notes when it began, was cancelled and was done."""

    takes_s: float = 1.0
    began_s: list[float] = field(default_factory=list)
    cancelled_s: list[float] = field(default_factory=list)

    async def __call__(self) -> float:
        """Return when it was done."""
        self.began_s.append(CLOCK.now_s())
        try:
            await CLOCK.sleep_s(self.takes_s)
        except asyncio.CancelledError:
            self.cancelled_s.append(CLOCK.now_s())
            raise
        return CLOCK.now_s()


def in_virtual_time(test: Callable[[SharedCores], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        await test(SharedCores(Lease(), CLOCK))

    run_virtual(run())


async def critical(cores: SharedCores, from_s: float, takes_s: float) -> None:
    await CLOCK.sleep_s(from_s)
    end = cores.begin_critical()
    await CLOCK.sleep_s(takes_s)
    end()
    end()


async def later(from_s: float, what: Callable[[], Awaitable[float]]) -> float:
    await CLOCK.sleep_s(from_s)
    return await what()


def test_alone_it_runs_at_once() -> None:
    async def test(cores: SharedCores) -> None:
        assert await cores.stand_back(Work(), Urgency.BACKGROUND) == pytest.approx(1.0)

    in_virtual_time(test)


def test_it_begins_when_the_reply_is_on_its_way_no_longer() -> None:
    async def test(cores: SharedCores) -> None:
        work = Work()
        asyncio.get_running_loop().call_later(1.0, cores.begin_critical())
        assert await cores.stand_back(work, Urgency.BACKGROUND) == pytest.approx(2.0 + LINGER_S)
        assert work.cancelled_s == []

    in_virtual_time(test)


def test_between_two_stages_of_a_reply_nothing_begins() -> None:
    async def test(cores: SharedCores) -> None:
        work = Work()
        async with asyncio.TaskGroup() as group:
            group.create_task(critical(cores, 0.0, 0.3))
            group.create_task(critical(cores, 0.32, 0.3))
            group.create_task(later(0.1, lambda: cores.stand_back(work, Urgency.BACKGROUND)))
        assert work.began_s == [pytest.approx(0.62 + LINGER_S)]

    in_virtual_time(test)


@pytest.mark.parametrize("urgency", [Urgency.BACKGROUND, Urgency.AHEAD])
def test_nothing_waits_for_ever(urgency: Urgency) -> None:
    async def test(cores: SharedCores) -> None:
        cores.begin_critical()
        work = Work()
        await cores.stand_back(work, urgency)
        assert work.began_s == [pytest.approx(LONGEST_WAIT_S[urgency])]

    in_virtual_time(test)


def test_what_runs_gives_way_once_and_is_done_anew() -> None:
    async def test(cores: SharedCores) -> None:
        work = Work()
        async with asyncio.TaskGroup() as group:
            group.create_task(critical(cores, 0.5, 0.2))
            group.create_task(critical(cores, 1.0, 0.2))
            done = group.create_task(cores.stand_back(work, Urgency.BACKGROUND))
        assert work.cancelled_s == [pytest.approx(0.5)]
        assert work.began_s == [0.0, pytest.approx(0.7 + LINGER_S)]
        assert done.result() == pytest.approx(1.7 + LINGER_S)

    in_virtual_time(test)


def test_what_is_wanted_sooner_goes_first() -> None:
    async def test(cores: SharedCores) -> None:
        warming, partial = Work(), Work(0.1)
        async with asyncio.TaskGroup() as group:
            group.create_task(cores.stand_back(warming, Urgency.BACKGROUND))
            done = group.create_task(later(0.5, lambda: cores.stand_back(partial, Urgency.AHEAD)))
        assert done.result() == pytest.approx(0.6)
        assert warming.began_s == [0.0, pytest.approx(0.6)]

    in_virtual_time(test)


@pytest.mark.parametrize("after_s", [0.5, 1.5])
def test_one_that_is_cancelled_leaves_nothing_behind(after_s: float) -> None:
    """While it waits, and while it runs."""

    async def test(cores: SharedCores) -> None:
        work, following = Work(), Work()
        asyncio.get_running_loop().call_later(1.0, cores.begin_critical())
        task = asyncio.create_task(cores.stand_back(work, Urgency.BACKGROUND))
        await CLOCK.sleep_s(after_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(work.began_s) == len(work.cancelled_s) == (after_s > 1)
        await CLOCK.sleep_s(1.0)
        begins_s = CLOCK.now_s()
        await cores.stand_back(following, Urgency.BACKGROUND)
        assert following.began_s == [begins_s]

    in_virtual_time(test)


def test_one_that_is_cancelled_while_it_gives_way_is_cancelled() -> None:
    async def test(cores: SharedCores) -> None:
        work = Work()
        task = asyncio.create_task(cores.stand_back(work, Urgency.BACKGROUND))
        await CLOCK.sleep_s(0.5)
        cores.begin_critical()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.cancelled_s == [0.5]

    in_virtual_time(test)


@pytest.mark.parametrize("error", [ValueError, TimeoutError])
def test_an_error_of_the_work_is_its_own(error: type[Exception]) -> None:
    async def fail() -> None:
        raise error

    async def test(cores: SharedCores) -> None:
        with pytest.raises(error):
            await cores.stand_back(fail, Urgency.BACKGROUND)
        following = Work()
        await cores.stand_back(following, Urgency.AHEAD)
        assert following.began_s == [0.0]

    in_virtual_time(test)


@given(
    st.lists(
        st.tuples(st.floats(0, 5), st.floats(0.01, 2), st.sampled_from(Urgency)).map(
            lambda drawn: (round(drawn[0], 2), round(drawn[1], 2), drawn[2])
        ),
        max_size=12,
    )
)
def test_whatever_comes_all_is_done_in_time(wanted: list[tuple[float, float, Urgency]]) -> None:
    async def test(cores: SharedCores) -> None:
        async with asyncio.TaskGroup() as group:
            for at_s, takes_s, urgency in wanted:
                if urgency is Urgency.CRITICAL:
                    group.create_task(critical(cores, at_s, takes_s))
                else:
                    group.create_task(check(cores, at_s, takes_s, urgency))
        await CLOCK.sleep_s(1.0)
        last = Work()
        begins_s = CLOCK.now_s()
        await cores.stand_back(last, Urgency.BACKGROUND)
        assert last.began_s == [begins_s]

    async def check(cores: SharedCores, at_s: float, takes_s: float, urgency: Urgency) -> None:
        done_s = await later(at_s, lambda: cores.stand_back(Work(takes_s), urgency))
        assert done_s <= at_s + 2 * (LONGEST_WAIT_S[urgency] + takes_s) + 1e-3

    in_virtual_time(test)
