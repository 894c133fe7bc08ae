"""What the kernel lets one ask for a thread: its cores, its niceness, its class, its utilisation clamps.

Everything takes a thread's id, 0 for the calling thread's own, and returns 0 or the errno with which the kernel
refused; nothing raises. See sched_setattr(2), sched_setaffinity(2), setpriority(2).
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import platform
import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

_log = logging.getLogger(__name__)

_RESET_ON_FORK: Final = 0x01
_KEEP_POLICY: Final = 0x08
_KEEP_PARAMS: Final = 0x10
_CLAMP_MIN: Final = 0x20
_CLAMP_MAX: Final = 0x40

_LAYOUT: Final = struct.Struct("=IIQiIQQQII")
"""struct sched_attr: size, policy, flags, nice, priority, three times of deadline scheduling, the two clamps."""
_NUMBERS: Final = {"x86_64": (314, 315), "aarch64": (274, 275)}
"""Of the system calls sched_setattr and sched_getattr."""
_U32: Final = 0xFFFFFFFF
_LISTINGS: Final = 8
"""How often a process is asked for new threads before one that begins them without end is given up."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """The kernel's struct sched_attr, without deadline scheduling."""

    policy: int = os.SCHED_OTHER
    flags: int = 0
    nice: int = 0
    priority: int = 0
    util_min: int = 0
    """0 to 1024; -1 takes the clamp away."""
    util_max: int = 0

    def pack(self) -> bytes:
        """Return the 56 bytes that the kernel reads."""
        clamps = (self.util_min & _U32, self.util_max & _U32)
        return _LAYOUT.pack(_LAYOUT.size, self.policy, self.flags, self.nice, self.priority, 0, 0, 0, *clamps)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Return what the kernel wrote."""
        _, policy, flags, nice, priority, _, _, _, util_min, util_max = _LAYOUT.unpack(data)
        return cls(policy, flags, nice, priority, util_min, util_max)


class Syscalls(Protocol):
    """The kernel's calls. They raise OSError."""

    def set_attributes(self, tid: int, attributes: bytes) -> None:
        """Call sched_setattr."""

    def attributes(self, tid: int) -> bytes:
        """Call sched_getattr."""

    def set_affinity(self, tid: int, cpus: Collection[int]) -> None:
        """Call sched_setaffinity."""

    def affinity(self, tid: int) -> set[int]:
        """Call sched_getaffinity."""

    def set_nice(self, tid: int, nice: int) -> None:
        """Call setpriority, which Linux has for single threads."""

    def nice(self, tid: int) -> int:
        """Call getpriority."""


class Kernel:
    """The real ones. On a processor whose numbers are not known, the two that libc lacks fail with ENOSYS."""

    def __init__(self) -> None:
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long
        self._set, self._get = _NUMBERS.get(platform.machine(), (-1, -1))

    def set_attributes(self, tid: int, attributes: bytes) -> None:
        """Call sched_setattr."""
        self._call(self._set, ctypes.c_long(tid), ctypes.create_string_buffer(attributes), ctypes.c_ulong(0))

    def attributes(self, tid: int) -> bytes:
        """Call sched_getattr."""
        buffer = ctypes.create_string_buffer(_LAYOUT.size)
        self._call(self._get, ctypes.c_long(tid), buffer, ctypes.c_ulong(_LAYOUT.size), ctypes.c_ulong(0))
        return buffer.raw

    def set_affinity(self, tid: int, cpus: Collection[int]) -> None:
        """Call sched_setaffinity."""
        os.sched_setaffinity(tid, cpus)

    def affinity(self, tid: int) -> set[int]:
        """Call sched_getaffinity."""
        return os.sched_getaffinity(tid)

    def set_nice(self, tid: int, nice: int) -> None:
        """Call setpriority."""
        os.setpriority(os.PRIO_PROCESS, tid, nice)

    def nice(self, tid: int) -> int:
        """Call getpriority."""
        return os.getpriority(os.PRIO_PROCESS, tid)

    def _call(self, number: int, *arguments: object) -> None:
        if self._syscall(ctypes.c_long(number), *arguments) == -1:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


@dataclass(frozen=True, slots=True)
class ThreadState:
    """How a thread is scheduled."""

    cpus: frozenset[int]
    nice: int
    attributes: Attributes


class Scheduler:
    """Asks the kernel, and logs each kind of refusal once. That a thread has ended meanwhile is no news."""

    def __init__(self, syscalls: Syscalls | None = None, *, quiet: bool = False) -> None:
        self.syscalls: Syscalls = syscalls or Kernel()
        self._quiet = quiet
        self._said: set[tuple[str, int]] = set()
        self._clamps_refused = 0

    def state(self, tid: int) -> ThreadState | None:
        """Return how a thread is scheduled; None when it has ended, or nobody says."""
        try:
            attributes = Attributes.unpack(self.syscalls.attributes(tid))
            return ThreadState(frozenset(self.syscalls.affinity(tid)), self.syscalls.nice(tid), attributes)
        except OSError as error:
            self._refused("how a thread is scheduled", error)
            return None

    def set_affinity(self, tid: int, cpus: Collection[int]) -> int:
        """Let a thread run on these cores only."""
        return self._ask("affinity", lambda: self.syscalls.set_affinity(tid, cpus))

    def set_nice(self, tid: int, nice: int) -> int:
        """Give a thread a niceness, -20 to 19."""
        return self._ask("niceness", lambda: self.syscalls.set_nice(tid, nice))

    def clamp(self, tid: int, util_min: int, util_max: int) -> int:
        """Let the governor see a utilisation within these limits, 0 to 1024; -1 takes a limit away."""
        if self._clamps_refused:
            return self._clamps_refused
        flags = _KEEP_POLICY | _KEEP_PARAMS | _CLAMP_MIN | _CLAMP_MAX
        wanted = Attributes(flags=flags, util_min=util_min, util_max=util_max)
        code = self._ask("utilisation clamps", lambda: self.syscalls.set_attributes(tid, wanted.pack()))
        if code in (errno.EOPNOTSUPP, errno.ENOSYS):
            self._clamps_refused = code
        return code

    def set_realtime(self, tid: int, priority: int = 1, policy: int = os.SCHED_RR) -> int:
        """Let a thread run before all normal ones; what it starts is normal again.

        Without a clamp of its own a real-time thread asks for the highest frequency whenever it runs.
        """
        plain = Attributes(policy, _RESET_ON_FORK, priority=priority)
        clamped = Attributes(policy, _RESET_ON_FORK | _CLAMP_MIN, priority=priority)
        return self._set_first(tid, "real-time class", clamped, plain)

    def set_normal(self, tid: int, nice: int = 0) -> int:
        """Make a thread a normal one again. Only a privileged one may let its children inherit again as well."""
        return self._set_first(tid, "normal class", Attributes(nice=nice), Attributes(flags=_RESET_ON_FORK, nice=nice))

    def _set_first(self, tid: int, kind: str, wanted: Attributes, otherwise: Attributes) -> int:
        try:
            self.syscalls.set_attributes(tid, wanted.pack())
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                self._clamps_refused = errno.EOPNOTSUPP
            return self._ask(kind, lambda: self.syscalls.set_attributes(tid, otherwise.pack()))
        return 0

    def _ask(self, kind: str, call: Callable[[], None]) -> int:
        try:
            call()
        except OSError as error:
            return self._refused(kind, error)
        return 0

    def _refused(self, kind: str, error: OSError) -> int:
        code = error.errno or errno.EIO
        if not self._quiet and code != errno.ESRCH and (kind, code) not in self._said:
            self._said.add((kind, code))
            _log.info("the kernel refuses to set a thread's %s (%s)", kind, os.strerror(code))
        return code


def threads_of(pid: int) -> Iterator[int]:
    """Yield the ids of a process's threads, the main one first, and then those that have been begun meanwhile."""
    seen: set[int] = set()
    for _ in range(_LISTINGS):
        try:
            listed = {int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()}
        except OSError:
            return
        if listed <= seen:
            return
        yield from sorted(listed - seen, key=lambda tid: (tid != pid, tid))
        seen |= listed
