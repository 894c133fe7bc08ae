"""Cancel flags in memory that the daemon and a worker share.

A flag is a C string in a file that exists only in memory: empty while the work is wanted. Nothing has to be received
for the worker to see it change, so it reaches code that is deep inside a native call.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import Final, Self

from voicebot.errors import CancelledWorkError

_FLAG_COUNT: Final = 64
REQUEST_FLAGS: Final = _FLAG_COUNT - 2
"""How many of them are for requests."""
_STRIDE_BYTES: Final = 64
"""A cache line for each flag."""


class CancelFlag:
    """One request's flag; satisfies engines.protocols.Cancel."""

    def __init__(self, memory: mmap.mmap, index: int) -> None:
        self.index = index
        self._bytes = (ctypes.c_char * 2).from_buffer(memory, index * _STRIDE_BYTES)

    @property
    def address(self) -> int:
        """Address of the two bytes."""
        return ctypes.addressof(self._bytes)

    def request(self) -> None:
        """Say that the work is no longer wanted."""
        self._bytes[0] = b"\1"

    def clear(self) -> None:
        """Make the flag usable for another request."""
        self._bytes[0] = b"\0"

    def requested(self) -> bool:
        """Return whether the work is no longer wanted."""
        return self._bytes[0] != b"\0"

    def raise_if_requested(self) -> None:
        """Raise CancelledWorkError if the work is no longer wanted."""
        if self.requested():
            raise CancelledWorkError("the work was cancelled on request.")


class CancelFlags:
    """All flags of one worker."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        memory = mmap.mmap(descriptor, _FLAG_COUNT * _STRIDE_BYTES)
        self._flags = [CancelFlag(memory, index) for index in range(_FLAG_COUNT)]

    @classmethod
    def create(cls) -> Self:
        """Make the memory. Its descriptor is inherited by the worker and gone with the last process that has it."""
        descriptor = os.memfd_create("voicebot-cancel-flags")
        os.ftruncate(descriptor, _FLAG_COUNT * _STRIDE_BYTES)
        return cls(descriptor)

    def __getitem__(self, index: int) -> CancelFlag:
        return self._flags[index]

    @property
    def alarm(self) -> CancelFlag:
        """Raised after any other flag, for a worker that computes several requests together."""
        return self._flags[REQUEST_FLAGS]

    @property
    def own(self) -> CancelFlag:
        """For what a worker does without being asked."""
        return self._flags[REQUEST_FLAGS + 1]

    def close(self) -> None:
        """Close the descriptor and forget the flags; the memory goes with the last one that somebody still has."""
        os.close(self.descriptor)
        self._flags.clear()
