"""Cancel flags: C strings in memory that two processes share."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest

from voicebot.engines.protocols import Cancel
from voicebot.errors import CancelledWorkError
from voicebot.workers.flags import REQUEST_FLAGS, CancelFlags

CHILD = """
import sys
from voicebot.workers.flags import CancelFlags
flag = CancelFlags(int(sys.argv[1]))[5]
print(flag.requested(), flush=True)
sys.stdin.readline()
print(flag.requested(), flush=True)
flag.clear()
"""
strlen = ctypes.CDLL(None).strlen
strlen.argtypes = [ctypes.c_void_p]
strlen.restype = ctypes.c_size_t


@pytest.fixture
def flags() -> Iterator[CancelFlags]:
    flags = CancelFlags.create()
    yield flags
    flags.close()


def test_a_flag_is_raised_and_cleared(flags: CancelFlags) -> None:
    flag: Cancel = flags[3]
    assert not flag.requested()
    flag.raise_if_requested()
    flags[3].request()
    assert flag.requested()
    with pytest.raises(CancelledWorkError):
        flag.raise_if_requested()
    flags[3].clear()
    flag.raise_if_requested()


def test_a_flag_is_a_c_string_of_no_or_one_byte(flags: CancelFlags) -> None:
    assert strlen(flags[3].address) == 0
    flags[3].request()
    assert strlen(flags[3].address) == 1
    flags[3].clear()
    assert strlen(flags[3].address) == 0


def test_each_flag_has_a_cache_line_of_its_own(flags: CancelFlags) -> None:
    addresses = [flags[index].address for index in range(REQUEST_FLAGS)]
    assert all(later - earlier == 64 for earlier, later in pairwise(addresses))
    flags[3].request()
    assert [index for index in range(REQUEST_FLAGS) if flags[index].requested()] == [3]


def test_another_process_sees_a_flag_and_can_change_it(flags: CancelFlags) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(flags.descriptor)],
        pass_fds=[flags.descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "False\n"
        flags[5].request()
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "True\n"
    assert child.returncode == 0
    assert not flags[5].requested()


def test_the_memory_has_no_name_and_is_gone_when_it_is_closed() -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    flags = CancelFlags.create()
    flag = flags[0]
    flags.close()
    flag.request()  # whoever still has the flag may use it
    assert flag.requested()
    del flags, flag
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
