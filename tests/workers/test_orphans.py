"""Workers never outlive their daemon, and a Ctrl-C is the daemon's alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.workers.rig import LONG_S

ROOT = Path(__file__).parents[2]
Lines = list[tuple[str, str, int]]


class Daemon:
    """The small daemon in a process group of its own, as a shell starts it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: Lines = []

    def read_until(self, state: str, times: int) -> list[psutil.Process]:
        """Read what it says until that was said so often; return the workers named there."""
        assert self.process.stdout is not None
        while sum(line[1] == state for line in self.lines) < times:
            line = self.process.stdout.readline()
            assert line, self.lines
            assert "died" not in line, self.lines
            stage, state_said, pid = line.split()
            self.lines.append((stage, state_said, int(pid)))
        return [psutil.Process(pid) for _, said, pid in self.lines if said == state]

    def states_at_the_end(self) -> set[str]:
        """Read what it still says; return all that its workers were."""
        assert self.process.stdout is not None
        for stage, state, pid in map(str.split, self.process.stdout):
            self.lines.append((stage, state, int(pid)))
        return {state for _, state, _ in self.lines}


@contextmanager
def daemon() -> Iterator[Daemon]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.workers.small_daemon"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield Daemon(process)
        finally:
            process.kill()


def assert_gone(workers: list[psutil.Process]) -> None:
    until_s = time.monotonic() + LONG_S
    while any(map(runs, workers)):
        assert time.monotonic() < until_s
        time.sleep(0.005)


def runs(worker: psutil.Process) -> bool:
    """Return whether the process is more than a number that its new parent, the system's, has yet to fetch."""
    try:
        return bool(worker.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("state", ["loading", "ready"])
def test_a_killed_daemon_leaves_no_workers(state: str) -> None:
    with daemon() as running:
        workers = running.read_until(state, 2)
        running.process.kill()
        assert_gone(workers)


def test_a_killed_daemon_leaves_not_even_a_worker_that_hangs() -> None:
    with daemon() as running:
        workers = running.read_until("ready", 2)
        for worker in workers:
            worker.suspend()
        running.process.kill()
        assert_gone(workers)


@pytest.mark.parametrize("state", ["loading", "ready"])
def test_a_ctrl_c_is_the_daemons_alone(state: str) -> None:
    with daemon() as running:
        workers = running.read_until(state, 2)
        os.killpg(running.process.pid, signal.SIGINT)
        running.read_until("interrupted", 1)
        assert set(running.read_until("ready", 2)) == set(workers)
        assert all(map(runs, workers))
        running.process.terminate()
        states = running.states_at_the_end()
        assert running.process.wait(LONG_S) == 0
        assert_gone(workers)
    assert states == {"loading", "ready", "stopped", "interrupted"}
