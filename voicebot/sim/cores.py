"""Who runs on which core, and how fast that is: the processor at one moment, without time. Pure.

A thread goes to the allowed core with the least on it, the most capable one of those, as the kernel's wake-up path
prefers an idle core and a fitting one. Threads of one task meet after every operation, so all go at the pace of the
slowest (llama.cpp's issue 7176: eight threads on an RK3588 are half as fast as four). Computing and waiting for memory
follow on each other, as in `StageCost`: a share x of a task takes x (cycles / pace + bytes / bandwidth) seconds.
Memory that all together ask too much of is given in equal shares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from voicebot.cpu.demand import Work
from voicebot.cpu.placement import Role, Seat
from voicebot.sim.chip import Chip
from voicebot.sim.costs import Amount

_HALVINGS: Final = 30
_NICE_STEP: Final = 1.25
"""A step of nice is a quarter of processor time (Linux, sched_prio_to_weight)."""


@dataclass(eq=False, slots=True)
class Task:
    """A request in a worker, or a step of one."""

    role: Role
    amount: Amount
    seat: Seat
    on_done: Callable[[], None]
    left: float = 1.0
    """The share that is still to be done."""
    ready_s: float = 0.0
    """When the cores that it was given are awake."""
    cpus: tuple[int, ...] = ()
    """One for each thread."""
    rate: float = 0.0
    """Share per second."""
    stalled: float = 0.0
    """The share of the time that its threads wait for memory."""
    pace: float = 0.0
    """Cycles per second of all threads together."""
    reach_bytes_s: float = 0.0
    """The most that its cores can read."""
    weight: float = 1.0
    """By its niceness."""
    work: Work | None = None
    """What it is, where it is the work of one request alone."""
    hindered: bool = False
    """Whether others ever took some of its cores' time, or of the memory's."""


def place(tasks: Sequence[Task], order: Sequence[int]) -> dict[int, float]:
    """Give every thread a core; return the weight that each core carries. `order` is the cpus, the best first."""
    load = dict.fromkeys(order, 0.0)
    for task in tasks:
        allowed = set(task.seat.cpus)
        mine = [cpu for cpu in order if cpu in allowed] or list(order)
        chosen = []
        task.weight = _NICE_STEP**-task.seat.nice
        for _ in range(task.seat.threads):
            cpu = min(mine, key=load.__getitem__)
            load[cpu] += task.weight
            chosen.append(cpu)
        task.cpus = tuple(chosen)
    return load


def set_rates(
    tasks: Sequence[Task], chip: Chip, pace: Mapping[int, float], reach: Mapping[int, float], load: Mapping[int, float]
) -> None:
    """Work out every task's rate.

    `pace` is each cpu's cycles per second that are free for tasks, `reach` what it can read, `load` as from `place`.
    """
    wanted = 0.0
    for task in tasks:
        threads = task.seat.threads
        shares = [task.weight / load[cpu] for cpu in task.cpus]
        slowest = min(pace[cpu] * share for cpu, share in zip(task.cpus, shares, strict=True))
        task.pace = chip.speedup(threads) * slowest
        reading = sum(reach[cpu] * share for cpu, share in zip(task.cpus, shares, strict=True))
        task.reach_bytes_s = min(reading, chip.bandwidth_bytes_s)
        task.hindered |= min(shares) < 1
        wanted += _run(task, task.reach_bytes_s)
    if wanted > chip.bandwidth_bytes_s and len(tasks) > 1:
        low, high = 0.0, chip.bandwidth_bytes_s
        for task in tasks:
            task.hindered = True
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if sum(_run(task, min(task.reach_bytes_s, middle)) for task in tasks) > chip.bandwidth_bytes_s:
                high = middle
            else:
                low = middle


def _run(task: Task, bytes_s: float) -> float:
    """Let a task read that fast; return the bytes per second that it then reads on average."""
    waiting_s = task.amount.traffic_bytes / bytes_s if bytes_s else 0.0
    whole_s = task.amount.cycles / task.pace + waiting_s
    task.rate = 1 / whole_s
    task.stalled = waiting_s / whole_s
    return task.rate * task.amount.traffic_bytes
