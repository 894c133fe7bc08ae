"""Threads get seats, and become again what they were."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Final

import pytest

from tests.cpu.scripted_kernel import ScriptedKernel
from voicebot.cpu.placement import Seat
from voicebot.cpu.processes import Processes
from voicebot.cpu.scheduling import Attributes, Scheduler, threads_of

PROGRAM: Final = """
import threading
for line in iter(input, "end"):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    print(flush=True)
"""
"""Begins a thread for each line."""


class Child:
    """A process that begins threads when it is told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin
        assert process.stdout
        self.pid = process.pid
        self._process, self._in, self._out = process, process.stdin, process.stdout

    def begin_thread(self) -> None:
        self._in.write("\n")
        self._in.flush()
        self._out.readline()

    def end(self) -> None:
        if self._process.returncode is None:
            self._process.communicate("end\n")


@pytest.fixture
def child() -> Iterator[Child]:
    arguments = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        child = Child(process)
        child.begin_thread()
        yield child
        child.end()


@pytest.fixture
def waiting() -> Iterator[int]:
    """The id of a second thread of this process."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait, daemon=True)
    thread.start()
    yield thread.native_id or 0
    end.set()
    thread.join()


def cpus_and_nices(pid: int) -> set[tuple[frozenset[int], int]]:
    return {(frozenset(os.sched_getaffinity(tid)), os.getpriority(os.PRIO_PROCESS, tid)) for tid in threads_of(pid)}


def test_a_real_process_and_all_of_its_threads(child: Child) -> None:
    (before,) = cpus_and_nices(child.pid)
    first = min(before[0])
    processes = Processes(Scheduler())
    processes.seat(child.pid, Seat((first,), 1, nice=17))
    assert len(list(threads_of(child.pid))) == 2
    assert cpus_and_nices(child.pid) == {(frozenset({first}), 17)}
    child.begin_thread()
    processes.seat(child.pid, Seat(tuple(before[0]), 1, nice=18))
    assert len(list(threads_of(child.pid))) == 3
    assert cpus_and_nices(child.pid) == {(before[0], 18)}
    processes.seat(child.pid, Seat((first,), 1, nice=18))
    child.begin_thread()
    processes.restore()
    assert {cpus for cpus, _ in cpus_and_nices(child.pid)} == {before[0]}


def test_a_process_that_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    processes = Processes(Scheduler())
    processes.seat(process.pid, Seat((0,), 1))
    processes.restore()


def test_one_that_ends_while_it_has_a_seat(child: Child) -> None:
    kernel = ScriptedKernel()
    processes = Processes(Scheduler(kernel))
    processes.seat(child.pid, Seat((0,), 1))
    child.end()
    asked = len(kernel.asked)
    processes.seat(child.pid, Seat((1,), 1))
    processes.restore()
    assert len(kernel.asked) == asked


def test_only_what_is_new_is_asked(waiting: int) -> None:
    kernel, pid = ScriptedKernel(), os.getpid()
    processes = Processes(Scheduler(kernel))
    processes.seat(pid, Seat((0, 1), 2))
    assert {call for call, _, _ in kernel.asked} == {"set_affinity"}
    asked = len(kernel.asked)
    processes.seat(pid, Seat((0, 1), 2))
    assert len(kernel.asked) == asked
    processes.seat(pid, Seat((0, 1), 2, clamp_max=300))
    assert {call for call, _, _ in kernel.asked[asked:]} == {"set_attributes"}
    assert kernel.clamps(waiting) == (0, 300)


def test_the_main_thread_alone_is_real_time_and_asks_for_no_top_speed(waiting: int) -> None:
    kernel, pid = ScriptedKernel(), os.getpid()
    processes = Processes(Scheduler(kernel))
    processes.seat(pid, Seat((0, 1), 2, nice=-5, realtime=True, clamp_min=256, clamp_max=512))
    assert (kernel.is_realtime(pid), kernel.clamps(pid)) == (True, (0, 512))
    assert (kernel.is_realtime(waiting), kernel.clamps(waiting), kernel.nice(waiting)) == (False, (256, 512), -5)
    processes.seat(pid, Seat((0, 1), 2, nice=-5, clamp_min=256))
    assert (kernel.is_realtime(pid), kernel.clamps(pid)) == (False, (256, 1024))
    processes.restore()
    for tid in (pid, waiting):
        assert (kernel.affinity(tid), kernel.nice(tid), kernel.clamps(tid)) == ({*range(8)}, 0, (0, 1024))


def test_where_real_time_is_refused_no_clamp_is_asked_for() -> None:
    kernel, pid = ScriptedKernel(refusals={"set_attributes": errno.EPERM}), os.getpid()
    processes = Processes(Scheduler(kernel))
    for nice in (1, 2):
        processes.seat(pid, Seat((0,), 1, nice, realtime=True))
    processes.restore()
    flags = {Attributes.unpack(asked).flags for _, _, asked in kernel.asked if isinstance(asked, bytes)}
    assert flags == {0x01, 0x21}


def test_what_a_seat_does_not_name_stays_as_others_made_it() -> None:
    kernel, pid = ScriptedKernel(), os.getpid()
    kernel.nices[pid] = -11
    Scheduler(kernel).set_realtime(pid, priority=7)
    Scheduler(kernel).clamp(pid, 100, 900)
    processes = Processes(Scheduler(kernel))
    processes.seat(pid, Seat((0,), 1, clamp_max=500))
    assert (kernel.nice(pid), kernel.is_realtime(pid), kernel.clamps(pid)) == (-11, True, (100, 500))
    processes.seat(pid, Seat((0,), 1, realtime=True))
    processes.restore()
    assert (kernel.nice(pid), kernel.is_realtime(pid), kernel.clamps(pid)) == (-11, True, (100, 900))
    assert kernel.threads[pid].priority == 7


def test_threads_begun_later_are_given_what_is_reset_when_they_begin() -> None:
    kernel, pid = ScriptedKernel(), os.getpid()
    processes, seat = Processes(Scheduler(kernel)), Seat((0,), 1, nice=-5, clamp_max=500)
    processes.seat(pid, seat)
    end = threading.Event()
    thread = threading.Thread(target=end.wait, daemon=True)
    thread.start()
    processes.seat(pid, seat)
    tid = thread.native_id or 0
    assert (kernel.affinity(tid), kernel.nice(tid), kernel.clamps(tid)) == ({0}, -5, (0, 500))
    processes.restore()
    assert (kernel.affinity(tid), kernel.nice(tid), kernel.clamps(tid)) == ({*range(8)}, 0, (0, 1024))
    end.set()
    thread.join()


def test_what_a_thread_inherited_of_an_earlier_seat_goes_with_that_seat(child: Child) -> None:
    kernel = ScriptedKernel()
    processes = Processes(Scheduler(kernel))
    processes.seat(child.pid, Seat((0,), 1, nice=5, clamp_max=500))
    older = {*threads_of(child.pid)}
    child.begin_thread()
    (youngest,) = {*threads_of(child.pid)} - older
    kernel.nices[youngest], kernel.threads[youngest] = 5, Attributes(util_max=500)
    processes.seat(child.pid, Seat((0,), 1))
    assert (kernel.nice(youngest), kernel.clamps(youngest)) == (0, (0, 1024))
