"""What the kernel allows this process to ask for its threads, found out by asking it for a thread that ends at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from voicebot.cpu.box import FULL_CAPACITY
from voicebot.cpu.scheduling import Scheduler, Syscalls

_NICE_RANGE: Final = range(-20, 20)


@dataclass(frozen=True, slots=True)
class Rights:
    """What may be asked."""

    clamps: bool = False
    affinity: bool = False
    realtime: bool = False
    nice: int | None = None
    """The lowest niceness that is allowed; None where none can be set."""


def find_rights(syscalls: Syscalls) -> Rights:
    """Ask. It depends on capabilities, limits, the kernel's options and cgroups: nobody says it in advance."""
    found: list[Rights] = []
    thread = threading.Thread(target=lambda: found.append(_ask(Scheduler(syscalls, quiet=True))), name="rights")
    thread.start()
    thread.join()
    return found[0] if found else Rights()


def _ask(scheduler: Scheduler) -> Rights:
    state = scheduler.state(0)
    return Rights(
        clamps=scheduler.clamp(0, 0, FULL_CAPACITY) == 0,
        affinity=state is not None and scheduler.set_affinity(0, state.cpus) == 0,
        nice=next((nice for nice in _NICE_RANGE if scheduler.set_nice(0, nice) == 0), None),
        realtime=scheduler.set_realtime(0) == 0,
    )
