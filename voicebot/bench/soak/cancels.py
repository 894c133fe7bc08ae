"""How a request is cancelled: before a step, as a worker's client does it, or while a step is being computed."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from voicebot.workers.flags import CancelFlag, CancelFlags

Way = Literal["flag", "alarm", "thread"]
"""The request's flag alone; then the alarm; both, from another thread."""

_WAYS: Final[tuple[Way, ...]] = ("flag", "alarm", "thread")
_SHARE: Final = 0.35
_MOST_STEPS: Final = 14
_LONGEST_S: Final = 0.03


@dataclass(frozen=True, slots=True)
class Plan:
    """When a request is cancelled, and how."""

    way: Way
    after_steps: int
    delay_s: float
    """From the beginning of that step, for another thread."""


def plan(random: Random) -> Plan | None:
    """Return the plan for a request; most are left alone."""
    if random.random() >= _SHARE:
        return None
    return Plan(random.choice(_WAYS), random.randint(0, _MOST_STEPS), random.uniform(0, _LONGEST_S))


def carry_out(plan: Plan, flag: CancelFlag, flags: CancelFlags) -> threading.Timer | None:
    """Cancel; returns who does it, where it is another thread."""

    def cancel() -> None:
        flag.request()
        flags.alarm.request()

    if plan.way == "thread":
        timer = threading.Timer(plan.delay_s, cancel)
        timer.start()
        return timer
    flag.request()
    if plan.way == "alarm":
        flags.alarm.request()
    return None
