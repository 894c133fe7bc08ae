"""A worker's precedence is its own, and not that of the thread which started it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest

from tests.workers.rig import order, serving

pytestmark = pytest.mark.usefixtures("_nothing_left")


@contextmanager
def of_another_class() -> Iterator[None]:
    """Be of a class that needs no rights, in place of the event loop's real-time one."""
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


async def test_all_threads_of_a_worker_have_the_niceness_it_was_ordered_with() -> None:
    nice = os.getpriority(os.PRIO_PROCESS, 0) + 2
    with of_another_class():
        async with serving(replace(order(), nice=nice)) as rig:
            assert psutil.Process(rig.pid).nice() == nice
            threads = [thread.id for thread in psutil.Process(rig.pid).threads()]
            assert {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads} == {nice}
            assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_OTHER}
            assert "".join(await rig.texts("a b")) == "You said: a b."


async def test_a_replacement_has_it_as_well() -> None:
    nice = os.getpriority(os.PRIO_PROCESS, 0) + 1
    async with serving(replace(order(), nice=nice)) as rig:
        first = rig.pid
        psutil.Process(first).kill()
        await rig.until(lambda: rig.supervisor.pid not in (None, first))
        assert os.getpriority(os.PRIO_PROCESS, rig.pid) == nice


async def test_what_is_not_allowed_keeps_no_worker_from_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    async with serving(replace(order(), nice=-20)) as rig:
        assert "".join(await rig.texts("a b")) == "You said: a b."


async def test_without_an_order_it_is_as_the_daemon() -> None:
    with of_another_class():
        async with serving() as rig:
            assert os.sched_getscheduler(rig.pid) == os.SCHED_BATCH
