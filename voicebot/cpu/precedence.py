"""The precedence of the daemon over other programs, as far as the rights of its user go.

Niceness alone weighs only between the processes of one session: where the kernel groups sessions (autogroup), the
session as a whole competes with the others, and has a niceness of its own. The real-time class is before all of that.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from voicebot.config.box import SchedulingSettings
from voicebot.cpu.placement import Seat
from voicebot.cpu.scheduling import threads_of

_log = logging.getLogger(__name__)
_US_PER_S: Final = 1_000_000
_LEAST_NICE: Final = -20
_LONGEST_SPELL_S: Final = 1.0
"""For which a real-time thread may run without once waiting for anything; a frame of audio takes some milliseconds."""
_RLIMIT_NICE_ORIGIN: Final = 20
"""RLIMIT_NICE is 20 minus the least niceness that it allows (setrlimit(2))."""


class Precedence:
    """What this process takes before others, and gives back. Both calls look into /proc, which may block."""

    def __init__(
        self, settings: SchedulingSettings, thread: int, autogroup: Path = Path("/proc/self/autogroup")
    ) -> None:
        """`thread`: the native id of the one that may be real-time; the threads that it begins then are so as well."""
        self.worker_nice: int | None = None
        """What the workers are to be given, as far as it is allowed; None where nothing is to be changed."""
        self._settings = settings
        self._thread = thread
        self._autogroup = autogroup
        self._undo: list[Callable[[], None]] = []

    def take(self) -> None:
        """Take what is allowed; what is not is logged in one line. Raises nothing."""
        settings, refused = self._settings, list[str]()
        if not settings.enabled:
            return
        nice_before = os.getpriority(os.PRIO_PROCESS, 0)
        self._undo.append(lambda: self._nice(nice_before))
        self.worker_nice = _reach(settings.worker_nice)
        if self.worker_nice > settings.worker_nice:
            refused.append(f"nice {settings.worker_nice} for the workers")
        reached = _reach(settings.daemon_nice)
        self._nice(reached)
        if reached > settings.daemon_nice:
            refused.append(f"nice {settings.daemon_nice}")
        self._group(min(reached, self.worker_nice))
        if settings.realtime_priority and not self._become_realtime(settings.realtime_priority):
            refused.append(f"real-time priority {settings.realtime_priority}")
        if refused:
            _log.info("not allowed to take precedence over other programs: %s", ", ".join(refused))

    def nice_of(self, seat: Seat | None, first: int) -> int | None:
        """Return the niceness of a worker; None where nothing is to be changed.

        `seat`: where it runs, on a box with cores for inference alone: then the workers yield to each other as their
        seats say, by as much as each is above `first`, the least niceness of all of them. Else all have the same.
        """
        if self.worker_nice is None or seat is None:
            return self.worker_nice
        return self.worker_nice + max(0, seat.nice - first)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """See to it that a real-time thread that only turns in circles becomes a normal one: it would hold up all else.

        The kernel says so by a signal, which only the main thread can wait for: elsewhere there is no guard. What is
        taken inside the block is to be given back there.
        """
        try:
            before = signal.signal(signal.SIGXCPU, lambda _number, _frame: self._overran())
        except ValueError:
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGXCPU, before)

    def give_back(self) -> None:
        """Be as before."""
        while self._undo:
            self._undo.pop()()

    def _nice(self, nice: int) -> None:
        """Give all threads that there are a niceness that is allowed."""
        for thread in threads_of(os.getpid()):
            with contextlib.suppress(OSError):  # it has ended
                os.setpriority(os.PRIO_PROCESS, thread, nice)

    def _group(self, nice: int) -> None:
        """Give the whole session a niceness, where the kernel groups sessions."""
        with contextlib.suppress(OSError, ValueError):
            # "/autogroup-210 nice 0"; nothing where this session is in no such group, as in most containers.
            before = int(self._autogroup.read_text().rpartition(" ")[2])
            self._autogroup.write_text(str(nice))
            self._undo.append(lambda: self._regroup(before))

    def _regroup(self, nice: int) -> None:
        with contextlib.suppress(OSError):
            self._autogroup.write_text(str(nice))

    def _become_realtime(self, priority: int) -> bool:
        """Move the thread to the round-robin class at that priority, or the highest below it that is allowed."""
        limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
        for allowed in (priority, min(priority, limit)):
            with contextlib.suppress(OSError):
                os.sched_setscheduler(self._thread, os.SCHED_RR, os.sched_param(allowed))
                self._undo.append(self._become_normal)
                self._limit_spells()
                return True
        return False

    def _limit_spells(self) -> None:
        if signal.getsignal(signal.SIGXCPU) is signal.SIG_DFL:
            return  # nobody guards, and the signal would end the process
        before = resource.getrlimit(resource.RLIMIT_RTTIME)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_RTTIME, (round(_LONGEST_SPELL_S * _US_PER_S), before[1]))
            self._undo.append(lambda: resource.setrlimit(resource.RLIMIT_RTTIME, before))

    def _overran(self) -> None:
        self._become_normal()
        _log.error("the daemon has computed for %.0f s without a pause, and is no longer real-time", _LONGEST_SPELL_S)

    def _become_normal(self) -> None:
        for thread in threads_of(os.getpid()):
            with contextlib.suppress(OSError):
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _reach(nice: int) -> int:
    """Return a niceness, or the nearest that is allowed, which is found out by giving it to the calling thread."""
    limit = resource.getrlimit(resource.RLIMIT_NICE)[0]
    least = _LEAST_NICE if limit == resource.RLIM_INFINITY else _RLIMIT_NICE_ORIGIN - limit
    before = os.getpriority(os.PRIO_PROCESS, 0)
    if before <= nice:
        return nice
    for wanted in (nice, min(before, max(nice, least))):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, wanted)
            return wanted
    return before
