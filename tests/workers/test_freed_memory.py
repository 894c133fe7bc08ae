"""Memory that is free goes back to the system."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import psutil
from voicebot.workers.freed_memory import give_back

def held():
    return psutil.Process().memory_info().rss

kept = []
for _ in range(400_000):
    kept.append(bytes(600))
low = [one for at, one in enumerate(kept) if at == len(kept) - 1]  # the last one holds the top of the heap
kept.clear()
before = held()
give_back()
print((before - held()) / 2**20)
"""


def test_what_lies_below_something_that_is_used_is_returned() -> None:
    ran = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    assert float(ran.stdout) > 100, ran.stdout
