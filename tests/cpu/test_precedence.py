"""Precedence is taken as far as the rights go, which the kernel is asked about, and given back."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from voicebot.config.box import SchedulingSettings
from voicebot.cpu.placement import Seat
from voicebot.cpu.precedence import Precedence

ROOT: Final = Path(__file__).parents[2]
NOBODY: Final = 65534
SCRIPT: Final = """
import json, logging, os, resource, sys, threading
from voicebot.config.box import SchedulingSettings
from voicebot.cpu.precedence import Precedence

logging.basicConfig(level="INFO", format="%(message)s")
settings, without_rights = SchedulingSettings(**json.loads(sys.argv[1])), sys.argv[2] == "without rights"
if without_rights:
    for limit in (resource.RLIMIT_NICE, resource.RLIMIT_RTPRIO):
        resource.setrlimit(limit, (0, 0))
    if os.getuid() == 0:
        os.setgroups([])
        os.setresuid(NOBODY, NOBODY, NOBODY)

def seen():
    return [os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), os.sched_getparam(0).sched_priority]

def seen_by_a_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(seen()), daemon=True)
    thread.start()
    thread.join()
    return found[0]

waits = threading.Event()
older = threading.Thread(target=waits.wait, daemon=True)
older.start()
precedence = Precedence(settings, threading.get_native_id())
before = seen()
precedence.take()
during, thread, old = seen(), seen_by_a_thread(), os.getpriority(os.PRIO_PROCESS, older.native_id)
precedence.give_back()
waits.set()
print(json.dumps({"before": before, "during": during, "thread": thread, "old": old, "after": seen(),
                  "worker_nice": precedence.worker_nice}))
""".replace("NOBODY", str(NOBODY))


def taken(rights: str, **settings: Any) -> tuple[dict[str, Any], list[str]]:
    """Take precedence in a process of its own; return what the kernel said of it, and what was logged."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(settings), rights]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found, done.stderr.splitlines()


def test_what_was_taken_is_seen_in_the_kernel_and_what_was_not_is_said() -> None:
    wanted = SchedulingSettings()
    found, said = taken("with all rights")
    nice, kind, priority = found["during"]
    refused = said[0] if said else ""
    assert len(said) <= 1
    assert (nice == wanted.daemon_nice) == (f"nice {wanted.daemon_nice}" not in refused)
    assert (found["worker_nice"] == wanted.worker_nice) == ("for the workers" not in refused)
    assert ((kind, priority) == (os.SCHED_RR, wanted.realtime_priority)) == ("real-time" not in refused)
    assert found["thread"] == found["during"]  # what the event loop's thread begins is as urgent as itself
    assert found["old"] == nice
    assert found["after"][1:] == [os.SCHED_OTHER, 0]
    assert found["after"][0] == found["before"][0]


def test_without_rights_nothing_changes_and_one_line_says_so() -> None:
    found, said = taken("without rights")
    assert found["during"] == found["before"] == found["thread"] == found["after"]
    assert found["worker_nice"] == found["before"][0]
    assert said == [
        "not allowed to take precedence over other programs: nice -13 for the workers, nice -14, real-time priority 5"
    ]


def test_what_is_switched_off_is_left_alone() -> None:
    found, said = taken("with all rights", enabled=False)
    assert found["during"] == found["before"]
    assert (found["worker_nice"], said) == (None, [])


def test_to_stand_back_needs_no_rights() -> None:
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    found, said = taken("without rights", daemon_nice=nice + 1, worker_nice=nice + 2, realtime_priority=0)
    assert (found["during"][0], found["worker_nice"], said) == (nice + 1, nice + 2, [])


SPIN: Final = """
import logging, os, sys, threading, time
from voicebot.config.box import SchedulingSettings
from voicebot.cpu.precedence import Precedence

logging.basicConfig(level="ERROR", format="%(message)s")
precedence = Precedence(SchedulingSettings(), threading.get_native_id())
with precedence.guarded():
    precedence.take()
    begun, until_s = os.sched_getscheduler(0), time.monotonic() + 30
    while os.sched_getscheduler(0) == os.SCHED_RR and time.monotonic() < until_s:
        pass
    print(begun == os.SCHED_RR, os.sched_getscheduler(0) == os.SCHED_OTHER)
    precedence.give_back()
"""


def test_a_real_time_thread_that_turns_in_circles_becomes_a_normal_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPIN], cwd=ROOT, text=True, capture_output=True, timeout=60, check=True
    )
    was_realtime, is_normal = done.stdout.split()
    assert is_normal == "True"
    said = "is no longer real-time" in done.stderr
    assert said == (was_realtime == "True")


class Limited:
    """A kernel that has a process of that niceness, with those limits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, nice: int, nice_limit: int, realtime_limit: int = 0) -> None:
        self.nice = nice
        self.realtime: list[int] = []
        self._nice_limit = nice_limit
        self._realtime_limit = realtime_limit
        limits = {resource.RLIMIT_NICE: nice_limit, resource.RLIMIT_RTPRIO: realtime_limit}
        monkeypatch.setattr(os, "getpriority", lambda _kind, _thread: self.nice)
        monkeypatch.setattr(os, "setpriority", lambda _kind, _thread, wanted: self._set_nice(wanted))
        monkeypatch.setattr(os, "sched_setscheduler", lambda _thread, kind, param: self._set_class(kind, param))
        monkeypatch.setattr(resource, "getrlimit", lambda limit: (limits[limit], limits[limit]))

    def _set_nice(self, wanted: int) -> None:
        if wanted < self.nice and 20 - wanted > self._nice_limit:
            raise PermissionError
        self.nice = wanted

    def _set_class(self, kind: int, param: os.sched_param) -> None:
        if param.sched_priority > self._realtime_limit or (kind == os.SCHED_RR and not param.sched_priority):
            raise PermissionError
        self.realtime.append(param.sched_priority)


@pytest.mark.parametrize(
    ("before", "limit", "wanted", "reached"),
    [
        (0, 35, -10, -10),
        (0, 35, -15, -15),
        (0, 25, -10, -5),  # the nearest that is allowed
        (0, 0, -10, 0),
        (-15, 0, -10, -10),  # the unit has set more
        (0, 0, 5, 5),
        (5, 20, -10, 0),
    ],
)
def test_the_nearest_niceness_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: int, limit: int, wanted: int, reached: int
) -> None:
    kernel = Limited(monkeypatch, before, limit)
    settings = SchedulingSettings(daemon_nice=wanted, worker_nice=wanted, realtime_priority=0)
    precedence = Precedence(settings, 0, tmp_path / "no-autogroup")
    precedence.take()
    assert (kernel.nice, precedence.worker_nice) == (reached, reached)


@pytest.mark.parametrize(("limit", "reached"), [(20, [5]), (3, [3]), (0, [])])
def test_the_highest_real_time_priority_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int, reached: list[int]
) -> None:
    kernel = Limited(monkeypatch, 0, 35, limit)
    Precedence(SchedulingSettings(), 0, tmp_path / "no-autogroup").take()
    assert kernel.realtime == reached


def test_the_sessions_own_niceness_is_set_and_given_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Limited(monkeypatch, 0, 35)
    file = tmp_path / "autogroup"
    file.write_text("/autogroup-210 nice 2\n")
    precedence = Precedence(SchedulingSettings(), 0, file)
    precedence.take()
    assert file.read_text() == "-14"
    precedence.give_back()
    assert file.read_text() == "2"


@pytest.mark.parametrize("said", ["", "\n", "what nobody expects"], ids=["in no group", "an empty line", "nonsense"])
def test_nothing_is_raised_where_the_kernel_says_no_to_all(
    said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Limited(monkeypatch, 0, 0)
    file = tmp_path / "autogroup"
    file.write_text(said)
    precedence = Precedence(SchedulingSettings(), 0, file)
    precedence.take()
    precedence.give_back()
    assert precedence.worker_nice == 0
    assert file.read_text() == said, "what can't be given back is not taken"


def test_workers_that_share_seats_yield_to_each_other() -> None:
    precedence = Precedence(SchedulingSettings(), 0)
    seat = Seat((0,), 1, nice=-2)
    assert precedence.nice_of(seat, -13) is None, "nothing was taken yet"
    precedence.worker_nice = -13
    assert [precedence.nice_of(each, -13) for each in (None, seat, Seat((0,), 1, nice=-13))] == [-13, -2, -13]
    precedence.worker_nice = 0  # no more was allowed
    assert precedence.nice_of(seat, -13) == 11
