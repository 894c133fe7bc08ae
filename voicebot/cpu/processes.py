"""Gives the threads of processes their seats, and puts them back as they were."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final

from voicebot.cpu.box import FULL_CAPACITY
from voicebot.cpu.placement import Seat
from voicebot.cpu.scheduling import Scheduler, ThreadState, threads_of

_NO_SEAT: Final = Seat(cpus=(), threads=0)
"""Niceness, class and clamps that a seat does not name are left, or become again, what they were before."""


class Processes:
    """Knows which thread has which seat, so that only what is new is asked of the kernel."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._before: dict[int, dict[int, ThreadState]] = {}
        """By process and thread. A thread begun after its process was seated is taken to be as the main one was."""
        self._seats: dict[int, dict[int, Seat]] = {}

    def seat(self, pid: int, seat: Seat) -> None:
        """Give all threads of a process a seat; its main thread alone may be real-time."""
        before = self._before.pop(pid, None) or self._states(pid)
        seats = self._seats.pop(pid, {})
        if pid not in before:
            return
        seated = dict[int, Seat]()
        for tid in threads_of(pid):
            was = before.get(tid, before[pid])
            if seats and tid not in seats:  # it has inherited some of a seat, but nothing that is reset on fork
                self._move(tid, was, seats[pid], _NO_SEAT, main=False)
            seated[tid] = self._move(tid, was, seats.get(tid, _NO_SEAT), seat, main=tid == pid)
        if pid in seated:
            self._before[pid], self._seats[pid] = before, seated

    def restore(self) -> None:
        """Put back every thread that is still there."""
        for pid, seats in self._seats.items():
            before = self._before[pid]
            for tid in threads_of(pid):
                was = before.get(tid, before[pid])
                self._move(tid, was, seats.get(tid, seats[pid]), _NO_SEAT, main=tid == pid)
                self._scheduler.set_affinity(tid, was.cpus)
        self._seats.clear()
        self._before.clear()

    def _states(self, pid: int) -> dict[int, ThreadState]:
        states = {tid: self._scheduler.state(tid) for tid in threads_of(pid)}
        return {tid: state for tid, state in states.items() if state}

    def _move(self, tid: int, was: ThreadState, old: Seat, new: Seat, *, main: bool) -> Seat:
        """Ask for what the new seat has otherwise than the old one; `was` is how the thread is without any.

        Returns the seat that it has then: the real-time class may have been refused.
        """
        scheduler = self._scheduler
        if new.cpus and new.cpus != old.cpus:
            scheduler.set_affinity(tid, new.cpus)
        if new.nice != old.nice:
            scheduler.set_nice(tid, new.nice or was.nice)
        main = main and was.attributes.policy == os.SCHED_OTHER
        realtime, was_realtime = main and new.realtime, main and old.realtime
        if realtime and not was_realtime:
            realtime = scheduler.set_realtime(tid) == 0
        elif was_realtime and not realtime:
            scheduler.set_normal(tid, new.nice or was.nice)
        clamps = _clamps(new, was, realtime=realtime)
        if clamps != _clamps(old, was, realtime=was_realtime):
            scheduler.clamp(tid, *clamps)
        return replace(new, realtime=realtime)


def _clamps(seat: Seat, was: ThreadState, *, realtime: bool) -> tuple[int, int]:
    """Return a thread's clamps, -1 for none; a real-time thread's low one is 0, or it would ask for the top speed."""
    low, high = was.attributes.util_min, was.attributes.util_max
    return (
        0 if realtime else seat.clamp_min or low or -1,
        seat.clamp_max if seat.clamp_max < FULL_CAPACITY else high if 0 < high < FULL_CAPACITY else -1,
    )
