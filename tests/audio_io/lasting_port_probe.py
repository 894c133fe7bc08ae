"""Run as a program with a virtual card's environment: hold a LastingPort open until standard input ends.

It prints each change of the port's state, and after the end a report as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from voicebot.audio import Frame
from voicebot.audio_io.lasting import LastingPort, LocalDevices
from voicebot.clock import LoopClock


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def probe(microphone: str, speaker: str, heard: Path) -> dict[str, Any]:
    clock, frames, state = LoopClock(), list[Frame](), ""
    port = LastingPort(LocalDevices(microphone, speaker, block_ms=20, lead_ms=60), clock)
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, over.set)
    async with port:
        begun_s = clock.now_s()
        descriptors: list[int] = []
        while not over.is_set():
            frame = await port.next_frame()
            assert frame is not None
            frames.append(frame)
            if state != (state := port.status()["state"]):
                say(state)
                descriptors.append(psutil.Process().num_fds())
        elapsed_s = clock.now_s() - begun_s
        status = port.status()
    np.save(heard, np.concatenate([frame.pcm for frame in frames]))
    return {
        "starts": [frame.start_sample for frame in frames],
        "gaps": sum(frame.gap for frame in frames),
        "elapsed_s": elapsed_s,
        "status": status,
        "descriptors": descriptors,
        "threads": [thread.name for thread in threading.enumerate()],
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--microphone", required=True)
    parser.add_argument("--speaker", required=True)
    parser.add_argument("--heard", type=Path, required=True)
    args = parser.parse_args()
    say(json.dumps(asyncio.run(probe(args.microphone, args.speaker, args.heard))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
