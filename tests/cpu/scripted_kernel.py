"""A kernel that schedules threads on paper: with or without utilisation clamps, and refusing what it is told to."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from voicebot.cpu.scheduling import Attributes

KEEP = 0x08 | 0x10
CLAMPS = 0x20 | 0x40


@dataclass
class ScriptedKernel:
    """Every thread exists; what was asked is in `asked`, how each thread is scheduled in the other three."""

    has_clamps: bool = True
    refusals: dict[str, int] = field(default_factory=dict)
    """The errno by the name of the call."""
    asked: list[tuple[str, int, object]] = field(default_factory=list)
    threads: dict[int, Attributes] = field(default_factory=dict)
    cpus: dict[int, set[int]] = field(default_factory=dict)
    nices: dict[int, int] = field(default_factory=dict)

    def set_attributes(self, tid: int, attributes: bytes) -> None:
        self._take("set_attributes", tid, attributes)
        new = Attributes.unpack(attributes)
        old = Attributes.unpack(self.attributes(tid))
        if new.flags & CLAMPS and not self.has_clamps:
            raise OSError(errno.EOPNOTSUPP, "")
        if not new.flags & KEEP:
            old = replace(new, util_min=old.util_min, util_max=old.util_max)
        if new.flags & 0x20:
            old = replace(old, util_min=0 if new.util_min == 0xFFFFFFFF else new.util_min)
        if new.flags & 0x40:
            old = replace(old, util_max=1024 if new.util_max == 0xFFFFFFFF else new.util_max)
        self.threads[tid] = old

    def attributes(self, tid: int) -> bytes:
        return self.threads.get(tid, Attributes(util_max=1024 if self.has_clamps else 0)).pack()

    def set_affinity(self, tid: int, cpus: Collection[int]) -> None:
        self._take("set_affinity", tid, tuple(cpus))
        self.cpus[tid] = set(cpus)

    def affinity(self, tid: int) -> set[int]:
        return self.cpus.get(tid, {0, 1, 2, 3, 4, 5, 6, 7})

    def set_nice(self, tid: int, nice: int) -> None:
        self._take("set_nice", tid, nice)
        self.nices[tid] = nice

    def nice(self, tid: int) -> int:
        return self.nices.get(tid, 0)

    def is_realtime(self, tid: int) -> bool:
        return Attributes.unpack(self.attributes(tid)).policy in {os.SCHED_RR, os.SCHED_FIFO}

    def clamps(self, tid: int) -> tuple[int, int]:
        attributes = Attributes.unpack(self.attributes(tid))
        return attributes.util_min, attributes.util_max

    def _take(self, call: str, tid: int, argument: object) -> None:
        self.asked.append((call, tid, argument))
        if code := self.refusals.get(call):
            raise OSError(code, os.strerror(code))
