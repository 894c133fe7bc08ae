"""`python -m tests.cpu.dies ROOT JOURNAL FUNCTION NTH`: changes a box's speed until it is killed, as by kill -9.

It is so just before the nth call of a function of the operating system, such as write or replace.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from tests.cpu.contents import everywhere
from tests.cpu.scripted_kernel import ScriptedKernel
from voicebot.cpu.actuators import Actuators
from voicebot.cpu.scheduling import Scheduler
from voicebot.cpu.topology import read_box


def main(root: Path, journal: Path, function: str, nth: int) -> None:
    box = read_box(root)
    actuators = Actuators(box, root, journal, Scheduler(ScriptedKernel()))
    calls = count(1)

    def die(_: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and called.__qualname__ == function and next(calls) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(die)
    for _ in range(nth):
        actuators.apply(everywhere(box, 1_416_000, 1_800_000, "performance"), {})
        actuators.apply(everywhere(box, 2_016_000, 2_400_000, "balance_power"), {})
        actuators.apply(everywhere(box, 0, 1_200_000, "power"), {})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
