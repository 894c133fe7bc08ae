"""What the kernel is asked for threads: for real where it allows it, on paper where it does not."""

from __future__ import annotations

import errno
import logging
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cpu.scripted_kernel import ScriptedKernel
from voicebot.cpu.scheduling import Attributes, Kernel, Scheduler, threads_of


@contextmanager
def waiting_thread() -> Iterator[int]:
    """A thread of this process that does nothing."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait, daemon=True)
    thread.start()
    assert thread.native_id is not None
    try:
        yield thread.native_id
    finally:
        end.set()
        thread.join()


@contextmanager
def waiting_process() -> Iterator[int]:
    """A process of its own that does nothing."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.communicate(b"\n")


def test_the_layout_is_the_kernels() -> None:
    packed = Attributes(policy=2, flags=0x78, nice=-5, priority=9, util_min=256, util_max=-1).pack()
    assert packed == bytes.fromhex(
        "38000000 02000000 7800000000000000 fbffffff 09000000"
        "0000000000000000 0000000000000000 0000000000000000"
        "00010000 ffffffff"
    )
    assert Attributes.unpack(packed) == Attributes(2, 0x78, -5, 9, 256, 0xFFFFFFFF)


def test_a_clamp_keeps_class_and_niceness() -> None:
    kernel = ScriptedKernel()
    assert Scheduler(kernel).clamp(42, 128, 512) == 0
    (call,) = kernel.asked
    assert call == ("set_attributes", 42, Attributes(flags=0x78, util_min=128, util_max=512).pack())


def test_a_kernel_without_clamps_is_asked_once(caplog: pytest.LogCaptureFixture) -> None:
    kernel = ScriptedKernel(has_clamps=False)
    scheduler = Scheduler(kernel)
    with caplog.at_level(logging.INFO):
        assert [scheduler.clamp(tid, 0, 512) for tid in (1, 2, 3)] == [errno.EOPNOTSUPP] * 3
    assert len(kernel.asked) == len(caplog.records) == 1


def test_a_real_time_thread_does_not_ask_for_the_top_speed() -> None:
    kernel = ScriptedKernel()
    assert Scheduler(kernel).set_realtime(7, priority=3) == 0
    assert kernel.asked == [("set_attributes", 7, Attributes(os.SCHED_RR, 0x21, priority=3).pack())]


def test_real_time_without_clamps() -> None:
    kernel = ScriptedKernel(has_clamps=False)
    assert Scheduler(kernel).set_realtime(7, policy=os.SCHED_FIFO) == 0
    assert kernel.asked[-1] == ("set_attributes", 7, Attributes(os.SCHED_FIFO, 0x01, priority=1).pack())
    assert kernel.is_realtime(7)


@pytest.mark.parametrize(("code", "lines"), [(errno.EPERM, 1), (errno.ESRCH, 0)])
def test_refusals_are_returned_and_logged_once_per_kind(
    code: int, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = ScriptedKernel(refusals={"set_nice": code, "set_affinity": code, "set_attributes": code})
    scheduler = Scheduler(kernel)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert scheduler.set_nice(1, -5) == code
            assert scheduler.set_affinity(1, [0]) == code
            assert scheduler.set_realtime(1) == code
            assert scheduler.set_normal(1) == code
    assert len(caplog.records) == 4 * lines


def test_an_unknown_processor_has_no_such_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "abacus")
    scheduler = Scheduler(Kernel())
    assert scheduler.clamp(0, 0, 1024) == errno.ENOSYS
    assert scheduler.state(0) is None


def test_affinity_for_real() -> None:
    with waiting_thread() as tid:
        before = os.sched_getaffinity(tid)
        assert Scheduler().set_affinity(tid, {min(before)}) == 0
        assert os.sched_getaffinity(tid) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_affinity_to_cores_that_are_not_there() -> None:
    with waiting_thread() as tid:
        before = os.sched_getaffinity(tid)
        assert Scheduler().set_affinity(tid, {1 << 12}) == errno.EINVAL
        assert os.sched_getaffinity(tid) == before


def test_niceness_for_real() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with waiting_thread() as tid:
        assert Scheduler().set_nice(tid, 19) == 0
        assert os.getpriority(os.PRIO_PROCESS, tid) == 19
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


def test_the_real_time_class_for_real_as_far_as_the_rights_go() -> None:
    scheduler = Scheduler()
    with waiting_process() as pid:
        code = scheduler.set_realtime(pid)
        state = scheduler.state(pid)
        assert state is not None
        if code == 0:
            assert (state.attributes.policy, state.attributes.priority, state.attributes.util_min) == (2, 1, 0)
            assert os.sched_getscheduler(pid) == os.SCHED_RR | os.SCHED_RESET_ON_FORK
        else:
            assert code == errno.EPERM
            assert state.attributes.policy == os.SCHED_OTHER
        assert scheduler.set_normal(pid) == 0
        assert os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK == os.SCHED_OTHER


def test_clamps_for_real_where_the_kernel_has_them() -> None:
    scheduler = Scheduler()
    with waiting_thread() as tid:
        code = scheduler.clamp(tid, 0, 512)
        state = scheduler.state(tid)
        assert state is not None
        assert (code, state.attributes.util_max) in {(0, 512), (errno.EOPNOTSUPP, 0)}


def test_a_thread_that_has_ended() -> None:
    with waiting_process() as pid:
        pass
    scheduler = Scheduler()
    assert scheduler.state(pid) is None
    assert scheduler.set_affinity(pid, {0}) == scheduler.set_nice(pid, 1) == scheduler.set_normal(pid) == errno.ESRCH
    assert list(threads_of(pid)) == []


def test_threads_come_and_go_while_they_are_listed() -> None:
    listing = threads_of(os.getpid())
    with waiting_thread():
        assert next(listing) == os.getpid()
    with waiting_thread() as come:
        rest = list(listing)
        assert come in rest
        assert len(rest) == len(set(rest))
