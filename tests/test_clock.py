"""Virtual time: the order of real time, none of its waiting."""

from __future__ import annotations

import asyncio
import time

import pytest

from voicebot.clock import LoopClock, run_virtual


def test_what_sleeps_wakes_in_the_order_of_time() -> None:
    clock = LoopClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *durations_s: float) -> None:
        for duration_s in durations_s:
            await clock.sleep_s(duration_s)
            woken.append((name, round(clock.now_s() - begun_s, 6)))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(sleeper("slow", 3.0, 3.0))
            group.create_task(sleeper("fast", 1.0, 1.0, 3.5))
            group.create_task(sleeper("late", 5.75))

    begun_s = 0.0
    run_virtual(main())
    assert woken == [("fast", 1.0), ("fast", 2.0), ("slow", 3.0), ("fast", 5.5), ("late", 5.75), ("slow", 6.0)]


def test_ten_minutes_pass_in_less_than_a_second() -> None:
    clock = LoopClock()

    async def main() -> float:
        begun_s = clock.now_s()
        for tick in range(30_000):  # a frame of 20 ms each
            await clock.sleep_s(begun_s + (tick + 1) * 0.02 - clock.now_s())
        return clock.now_s() - begun_s

    begun_s = time.monotonic()
    assert run_virtual(main()) == pytest.approx(600.0, abs=3e-5)
    assert time.monotonic() - begun_s < 1.0


def test_time_stands_still_while_there_is_work() -> None:
    clock = LoopClock()

    async def main() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
        assert clock.now_s() == 0.0

    run_virtual(main())


@pytest.mark.parametrize("duration_s", [0.0, -1.0])
def test_no_time_is_not_waited_for(duration_s: float) -> None:
    clock = LoopClock()

    async def main() -> float:
        await clock.sleep_s(duration_s)
        return clock.now_s()

    assert run_virtual(main()) == 0.0


def test_the_result_is_returned() -> None:
    async def main() -> str:
        return "done"

    assert run_virtual(main()) == "done"


def test_an_exception_reaches_the_caller() -> None:
    clock = LoopClock()

    async def main() -> None:
        await clock.sleep_s(1)
        raise ValueError("as it happened")

    with pytest.raises(ValueError, match="as it happened"):
        run_virtual(main())


def test_an_exception_in_a_task_ends_its_siblings_and_reaches_the_caller() -> None:
    clock = LoopClock()
    ended: list[str] = []

    async def waits() -> None:
        try:
            await clock.sleep_s(3600)
        finally:
            ended.append("waits")

    async def fails() -> None:
        await clock.sleep_s(1)
        raise ValueError("a part failed")

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits())
            group.create_task(fails())

    with pytest.raises(ExceptionGroup) as caught:
        run_virtual(main())
    assert caught.group_contains(ValueError, match="a part failed")
    assert ended == ["waits"]


def test_time_limits_hold_in_virtual_time() -> None:
    clock = LoopClock()

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.Event().wait()
        return clock.now_s()

    assert run_virtual(main()) == pytest.approx(10.0, abs=3e-5)


async def test_on_a_real_loop_the_clock_is_the_loops() -> None:
    clock = LoopClock()
    begun_s = clock.now_s()
    assert begun_s == pytest.approx(asyncio.get_running_loop().time(), abs=0.5)
    await clock.sleep_s(0.001)
    assert clock.now_s() > begun_s
