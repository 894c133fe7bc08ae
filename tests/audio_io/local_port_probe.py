"""Run as a program with a virtual card's environment: open a LocalPort, play a sound after 0.2 s, and write down all
that happened.

It prints `open` as soon as the first frame is there. When the devices fail, it prints the error and exits with 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from voicebot.audio import SAMPLE_RATE_HZ, Frame
from voicebot.audio_io.local import LocalPort
from voicebot.audio_io.playback import Played
from voicebot.audio_io.wav import read_wav
from voicebot.errors import AudioDeviceError

PLAY_AT_FRAME = 10


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def probe(args: argparse.Namespace) -> dict[str, Any]:
    played: list[Played] = []
    frames: list[Frame] = []
    clock_lag: list[int] = []
    port = LocalPort(args.microphone, args.speaker, block_ms=args.block_ms)
    port.playback.subscribe(played.extend)
    async with port:
        cpu_s = time.process_time()
        while len(frames) * 0.02 < args.seconds:
            frame = await port.next_frame()
            assert frame is not None
            if not frames:
                say("open")
            if len(frames) == PLAY_AT_FRAME and args.play is not None:
                port.playback.push("sound", read_wav(args.play))
            frames.append(frame)
            clock_lag.append(port.now_sample() - frame.end_sample)
        cpu_s = time.process_time() - cpu_s
    after = await port.next_frame()
    np.save(args.heard, np.concatenate([frame.pcm for frame in frames]))
    return {
        "starts": [frame.start_sample for frame in frames],
        "gaps": sum(frame.gap for frame in frames),
        "played": [[stretch.start_sample, stretch.samples, stretch.audible_sample] for stretch in played],
        "dropped_frames": port.dropped_frames,
        "late_blocks": port.late_blocks,
        "xruns": port.xruns,
        "clock_lag_ms": [1000 * lag / SAMPLE_RATE_HZ for lag in clock_lag],
        "cpu_share": cpu_s / args.seconds,
        "ends_with_none": after is None,
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--microphone")
    parser.add_argument("--speaker")
    parser.add_argument("--block-ms", type=int, default=20)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--play", type=Path)
    parser.add_argument("--heard", type=Path, required=True)
    args = parser.parse_args()
    try:
        report = asyncio.run(probe(args))
    except AudioDeviceError as error:
        say(str(error))
        return 1
    say(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
