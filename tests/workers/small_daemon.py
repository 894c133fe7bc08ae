"""A program that keeps two scripted workers running and says on its standard output what happens to them.

Run as `python -m tests.workers.small_daemon` by tests that kill it or press its Ctrl-C, which it only reports. A
SIGTERM ends it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from tests.workers.rig import order
from voicebot.clock import LoopClock
from voicebot.config.box import WorkerSettings
from voicebot.events import Event, WorkerChanged
from voicebot.workers.supervisor import Supervisor


def say(event: Event) -> None:
    assert isinstance(event, WorkerChanged)
    sys.stdout.write(f"{event.stage} {event.state} {event.pid}\n")
    sys.stdout.flush()


def say_interrupted() -> None:
    sys.stdout.write(f"daemon interrupted {os.getpid()}\n")
    sys.stdout.flush()


async def main() -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, say_interrupted)
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    supervisors = [Supervisor(order(stage), LoopClock(), say, WorkerSettings()) for stage in ("asr", "slm")]
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(supervisor.run()) for supervisor in supervisors]
        await ended.wait()
        for task in running:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
