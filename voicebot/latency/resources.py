"""What the daemon and all its workers take of the box."""

from __future__ import annotations

import contextlib

import psutil

_BYTES_PER_MB = 1 << 20


class Usage:
    """Memory and processor time of this process and its descendants, the time counted from when this was made."""

    def __init__(self) -> None:
        self._before_s = _cpu_s(psutil.Process())
        self.memory_mb = 0.0
        self.cpu_s = 0.0

    def measure(self) -> None:
        """Measure now, while the workers are still there.

        Memory is the proportional share (PSS), so that a page which several processes share counts once.
        """
        own = psutil.Process()
        processes = [own, *own.children(recursive=True)]
        self.memory_mb = sum(map(_memory_mb, processes))
        self.cpu_s = sum(map(_cpu_s, processes)) - self._before_s


def _memory_mb(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return float(process.memory_full_info().pss) / _BYTES_PER_MB
    return 0.0


def _cpu_s(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0
