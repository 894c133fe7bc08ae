"""How long a core may take to wake up: /dev/cpu_dma_latency, whose limit holds for as long as it is open.

See the kernel's Documentation/power/pm_qos_interface.rst.
"""

from __future__ import annotations

import os
import struct
from typing import Final

from voicebot.cpu.kernel_files import KernelFiles

_NAME: Final = "dev/cpu_dma_latency"
_LIMIT: Final = struct.Struct("<i")


class WakeUp:
    """Holds the device open while a limit is wanted. A crash closes it as well, so nothing has to be given back."""

    def __init__(self, files: KernelFiles) -> None:
        self._files = files
        self._descriptor: int | None = None
        self._limit_us: int | None = None

    @property
    def possible(self) -> bool:
        """Whether the permissions allow it, as far as is known."""
        return self._files.may_write(_NAME)

    def hold(self, limit_us: int | None) -> None:
        """Ask that no core takes longer than this to wake up; None when it does not matter."""
        if limit_us == self._limit_us:
            return
        self._limit_us = limit_us
        if limit_us is None:
            self._release()
            return
        if self._files.is_refused(_NAME, ""):
            return
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._files.root / _NAME, os.O_WRONLY)
            os.pwrite(self._descriptor, _LIMIT.pack(limit_us), 0)
        except OSError as error:
            self._files.refuse(_NAME, "", error)
            self._release()

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
