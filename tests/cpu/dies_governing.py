"""`python -m tests.cpu.dies_governing ROOT EVENTS`: governs a box for so many events, and is killed as by kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.cpu.driven import CONVERSATION, Hands, open_over
from voicebot.latency.plan import Ladders


async def main(root: Path, events: int) -> None:
    clock = Hands()
    governor = await open_over(root, clock)
    begin_s = clock.s
    async with governor.running(Ladders()):
        for at_s, event in CONVERSATION[:events]:
            clock.s = begin_s + at_s
            governor.observe(event)
            await governor.step()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
