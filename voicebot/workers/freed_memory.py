"""Memory that was freed, and which the allocator keeps for the next time."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Return what is free to the system: glibc's malloc_trim(3); elsewhere nothing is done.

    What a long text took, tens of megabytes, stays with a process until its next long text, and scattered over pages
    of which a little is used it is lost to everyone.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    if trim is not None:
        trim(0)
