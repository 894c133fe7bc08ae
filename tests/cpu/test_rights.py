"""What may be asked of the kernel is found out without a trace."""

from __future__ import annotations

import errno
import logging
import os
import threading

import pytest

from tests.cpu.scripted_kernel import ScriptedKernel
from voicebot.cpu.rights import Rights, find_rights
from voicebot.cpu.scheduling import Kernel


class Unprivileged(ScriptedKernel):
    """A kernel that lets niceness grow only."""

    def set_nice(self, tid: int, nice: int) -> None:
        if nice < 3:
            raise PermissionError(errno.EACCES, "")
        super().set_nice(tid, nice)


def test_everything() -> None:
    assert find_rights(ScriptedKernel()) == Rights(clamps=True, affinity=True, realtime=True, nice=-20)


def test_little(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Unprivileged(has_clamps=False, refusals={"set_attributes": errno.EPERM})
    with caplog.at_level(logging.INFO):
        assert find_rights(kernel) == Rights(clamps=False, affinity=True, realtime=False, nice=3)
    assert not caplog.records


def test_the_real_kernel_lets_a_process_be_as_it_is() -> None:
    before = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)
    rights = find_rights(Kernel())
    assert rights.affinity
    assert rights.nice is not None
    assert rights.nice <= before[1]
    assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)) == before
    assert "rights" not in {thread.name for thread in threading.enumerate()}
