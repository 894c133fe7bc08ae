"""Makes the kernel kill this process, and whatever it starts, when it makes an Internet socket (seccomp)."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
from typing import Final

_SOCKET_CALL: Final = {
    "x86_64": (0xC000003E, 41),
    "aarch64": (0xC00000B7, 198),
    "riscv64": (0xC00000F3, 198),
    "armv7l": (0x40000028, 281),
}
"""By the machine: its AUDIT_ARCH, and the number of socket()."""
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _KILL_PROCESS = 0x7FFF0000, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid_internet_sockets() -> None:
    """Do so from here on; it can't be undone. Raises OSError."""
    architecture, call = _SOCKET_CALL[platform.machine()]
    instructions = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, 5, architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 0, 3, call),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 2, 0, socket.AF_INET),
        (_EQUAL, 1, 0, socket.AF_INET6),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _KILL_PROCESS),
    ]
    code = b"".join(struct.pack("HBBI", *one) for one in instructions)
    _prctl(_NO_NEW_PRIVILEGES, 1)
    _prctl(_SECCOMP, _FILTER, ctypes.byref(_Program(len(instructions), code)))


def _prctl(option: int, *arguments: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    given = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    if library.prctl(option, *given, *[ctypes.c_ulong(0)] * (4 - len(given))) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
