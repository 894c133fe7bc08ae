"""Calls in threads of their own: what they return, raise, and do to a program that does not wait for them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from voicebot.audio_io.device_thread import in_thread
from voicebot.errors import AudioDeviceError

ROOT = Path(__file__).parents[2]


async def test_a_call_returns_and_raises_as_if_it_were_made_here() -> None:
    def fail() -> None:
        raise AudioDeviceError("It is not there.")

    assert await in_thread(lambda: threading.current_thread().name, "look") == "look"
    with pytest.raises(AudioDeviceError, match="not there"):
        await in_thread(fail, "fail")


async def test_a_call_that_hangs_can_be_left() -> None:
    over = threading.Event()
    hanging = asyncio.create_task(in_thread(over.wait, "hang"))
    await asyncio.sleep(0)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    over.set()


async def test_threads_begin_with_the_precedence_of_the_loops() -> None:
    assert await in_thread(lambda: os.sched_getscheduler(0), "look") == os.sched_getscheduler(0)


def test_a_call_that_hangs_does_not_keep_the_program_from_ending() -> None:
    code = (
        "import asyncio, contextlib, threading; from voicebot.audio_io.device_thread import in_thread\n"
        "async def main():\n"
        "    with contextlib.suppress(TimeoutError):\n"
        "        await asyncio.wait_for(in_thread(threading.Event().wait, 'hang'), 0.05)\n"
        "asyncio.run(main())"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
