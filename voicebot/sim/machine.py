"""A box in time: tasks run, frequencies change, the die warms up, from one event to the next.

Nothing is sampled: between two events power and rates are constant, so that energy is their product with the time and
the temperature has a closed form (sim/heat.py).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from typing import Final, Protocol

from voicebot.cpu.demand import Work
from voicebot.cpu.placement import Role, Seat, Speed
from voicebot.sim.chip import Chip
from voicebot.sim.cores import Task, place, set_rates
from voicebot.sim.costs import Amount
from voicebot.sim.heat import Heat, Throttle

_HZ_PER_KHZ: Final = 1000.0
_LEAST_FREE: Final = 0.1
_DONE: Final = 1e-9
"""A share that is nothing but rounding."""
_COMPONENTS: Final = ("dynamic", "static", "asleep", "dram", "uncore", "board")


class Governor(Protocol):
    """What chooses each cluster's frequency, within the machine's limits."""

    def update(self, machine: Machine) -> float:
        """Ask the machine for frequencies; return when to be asked again, if nothing changes before. In seconds."""


class Machine:
    """One box that runs."""

    def __init__(self, chip: Chip, governor: Governor, background: Mapping[int, float] | None = None) -> None:
        """Make it, idle and cold. `background` is cycles per second that a cpu always has to do."""
        self.chip = chip
        self.now_s = 0.0
        self.heat = Heat(chip.cooling)
        self.throttle = Throttle(chip.cooling)
        self.energy_j = dict.fromkeys(_COMPONENTS, 0.0)
        self.tasks: list[Task] = []
        self.khz = {each.name: each.lowest_khz for each in chip.box.clusters}
        self.busy = dict.fromkeys(chip.box.cpus, 0.0)
        """The share of the time that a cpu runs."""
        self.busy_s = dict.fromkeys(chip.box.cpus, 0.0)
        self.throttled_s = 0.0
        self.hottest_c = self.heat.die_c
        self.on_segment: Callable[[float, float], None] | None = None
        """Called with each stretch of time, its length and its watts (without the board's)."""
        self.on_finished: Callable[[Task], None] | None = None
        """Called with each task that is complete, before anybody else knows."""
        self._governor = governor
        self._may_sleep = True
        self._governor_s = 0.0
        self._wanted_khz = dict(self.khz)
        self._speeds: dict[str, Speed] = {}
        self._most_throttled = max(len(each.points) for each in chip.box.clusters) - 1
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._changed = True
        self._watts = dict.fromkeys(_COMPONENTS, 0.0)
        self._cluster_of = {cpu: each.name for each in chip.box.clusters for cpu in each.cpus}
        capacity = {cpu: each.capacity for each in chip.box.clusters for cpu in each.cpus}
        self._order = sorted(chip.box.cpus, key=lambda cpu: (-capacity[cpu], cpu))
        self._background = dict(background or {})
        self._idle_since_s = dict.fromkeys(chip.box.cpus, -math.inf)
        self._next_asleep_s = math.inf
        self._reach = {cpu: chip.silicon[name].core_bandwidth_bytes_s for cpu, name in self._cluster_of.items()}
        self._ladders = {each.name: [point.khz for point in each.points] for each in chip.box.clusters}
        self._points = {each.name: {point.khz: point for point in each.points} for each in chip.box.clusters}
        self.after(chip.cooling.poll_s, self._look_at_heat)

    # What others ask of it.

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Do something at a time, or now if that has passed."""
        heapq.heappush(self._queue, (max(time_s, self.now_s), next(self._numbers), action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in a while."""
        self.at(self.now_s + seconds, action)

    def submit(
        self, role: Role, amount: Amount, seat: Seat, on_done: Callable[[], None], work: Work | None = None
    ) -> Task:
        """Begin a task; it calls `on_done` when it is done. `work`: what it is, where that is one request's alone."""
        task = Task(role, amount, seat, on_done, work=work)
        self.tasks.append(task)
        self._changed = True
        return task

    def cancel(self, task: Task) -> None:
        """Drop a task, if it runs."""
        if task in self.tasks:
            self.tasks.remove(task)
            self._changed = True

    def cut(self, task: Task, share: float) -> None:
        """Leave out the last share of a task, or what there still is of it; what was done stays done."""
        if task in self.tasks:
            task.left = max(0.0, task.left - share)
            task.work = None
            self._changed = True

    def reseat(self, seats: Mapping[Role, Seat]) -> None:
        """Move what runs to its role's new place; it keeps the number of its threads."""
        for task in self.tasks:
            seat = replace(seats.get(task.role, task.seat), threads=task.seat.threads)
            if seat != task.seat:
                task.seat = seat
                self._changed = True

    def let_sleep(self, *, allowed: bool) -> None:
        """Say whether idle cores may fall asleep, which they take time to wake up from."""
        self._changed |= allowed != self._may_sleep
        self._may_sleep = allowed

    def limit(self, speeds: Mapping[str, Speed]) -> None:
        """Set the limits of some clusters."""
        if any(self._speeds.get(name) != speed for name, speed in speeds.items()):
            self._speeds.update(speeds)
            self._governor_s = self.now_s

    def request(self, cluster: str, khz: int) -> None:
        """Ask for a frequency, which is there after the delay. The latest request counts."""
        if khz == self._wanted_khz[cluster]:
            return
        self._wanted_khz[cluster] = khz
        self.after(self.chip.actuation_s, lambda: self._switch(cluster, khz))

    def limits(self, cluster: str) -> tuple[int, int]:
        """Return the lowest and the highest frequency that a cluster may have, the firmware's throttle included."""
        ladder = self._ladders[cluster]
        hot = ladder[max(0, len(ladder) - 1 - self.throttle.state)]
        speed = self._speeds.get(cluster)
        if speed is None:
            return ladder[0], hot
        floor = max(ladder[0], speed.floor_khz)
        return min(floor, hot), min(hot, max(speed.ceiling_khz, floor))

    def cluster_of(self, cpu: int) -> str:
        """Return the name of a cpu's cluster."""
        return self._cluster_of[cpu]

    def wanted_khz(self, cluster: str) -> int:
        """Return the frequency that was asked for last."""
        return self._wanted_khz[cluster]

    @property
    def watts(self) -> float:
        """What processor and memory take at the moment."""
        return sum(self._watts.values()) - self._watts["board"]

    def run_until(self, end_s: float) -> None:
        """Let time pass."""
        while True:
            self._settle()
            next_s = min(self._next_s(), end_s)
            self._pass_time(next_s - self.now_s)
            self.now_s = next_s
            self._finish()
            while self._queue and self._queue[0][0] <= self.now_s:
                heapq.heappop(self._queue)[2]()
            if self.now_s >= end_s:
                self._settle()
                return

    # From one event to the next.

    def _settle(self) -> None:
        """Let rates, power and governor agree with what has changed."""
        if self._changed:
            self._arrange()
            self._governor_s = self.now_s
        if self._governor_s <= self.now_s:
            self._governor_s = max(self._governor.update(self), math.nextafter(self.now_s, math.inf))

    def _next_s(self) -> float:
        next_s = min(self._governor_s, self._queue[0][0])
        for task in self.tasks:
            when_s = task.ready_s if task.ready_s > self.now_s else self.now_s + task.left / task.rate
            next_s = min(next_s, when_s)
        return min(next_s, self._next_asleep_s)

    def _pass_time(self, seconds: float) -> None:
        if seconds <= 0:
            return
        for name, watts in self._watts.items():
            self.energy_j[name] += watts * seconds
        heating = self.watts
        self.heat.pass_time(seconds, heating)
        self.hottest_c = max(self.hottest_c, self.heat.die_c)
        if self.throttle.state:
            self.throttled_s += seconds
        for cpu, share in self.busy.items():
            self.busy_s[cpu] += share * seconds
        for task in self.tasks:
            task.left -= task.rate * seconds
        if self.on_segment is not None:
            self.on_segment(seconds, heating)

    def _finish(self) -> None:
        """End the tasks that are complete, and note what has woken up or fallen asleep."""
        for task in [each for each in self.tasks if each.left <= _DONE]:
            if task in self.tasks:
                self.cancel(task)
                if self.on_finished is not None:
                    self.on_finished(task)
                task.on_done()
        woken = any(not task.rate and task.ready_s <= self.now_s for task in self.tasks)
        self._changed |= woken or self._next_asleep_s <= self.now_s

    def _switch(self, cluster: str, khz: int) -> None:
        if self._wanted_khz[cluster] == khz != self.khz[cluster]:
            self.khz[cluster] = khz
            self._changed = True

    def _look_at_heat(self) -> None:
        before = self.throttle.state
        self.throttle.look(self.heat.die_c, self._most_throttled)
        if self.throttle.state != before:
            self._governor_s = self.now_s
        self.after(self.chip.cooling.poll_s, self._look_at_heat)

    def _arrange(self) -> None:
        """Place the threads; work out rates and power from now on."""
        self._changed = False
        load = place(self.tasks, self._order)
        self._wake(load)
        pace = {}
        for cpu, name in self._cluster_of.items():
            whole = self.khz[name] * _HZ_PER_KHZ * self.chip.silicon[name].ipc
            always = self._background.get(cpu, 0.0) / whole
            pace[cpu] = whole * max(_LEAST_FREE, 1 - always)
            self.busy[cpu] = 1.0 if load[cpu] else min(1.0, always)
        running = [task for task in self.tasks if task.ready_s <= self.now_s]
        set_rates(running, self.chip, pace, self._reach, load)
        self._count_power(load, running)

    def _wake(self, load: Mapping[int, float]) -> None:
        """Note since when cores idle, and when tasks can begin whose cores have to wake up."""
        for task in self.tasks:
            if not task.rate and task.ready_s <= 0 and any(self._asleep(cpu) for cpu in task.cpus):
                task.ready_s = self.now_s + self.chip.wake_up_s
        self._next_asleep_s = math.inf
        for cpu, weight in load.items():
            if weight:
                self._idle_since_s[cpu] = math.inf
            elif self._idle_since_s[cpu] == math.inf:
                self._idle_since_s[cpu] = self.now_s
            if self._may_sleep and not self._asleep(cpu):
                self._next_asleep_s = min(self._next_asleep_s, self._idle_since_s[cpu] + self.chip.asleep_after_s)

    def _asleep(self, cpu: int) -> bool:
        return self._may_sleep and self._idle_since_s[cpu] + self.chip.asleep_after_s <= self.now_s

    def _count_power(self, load: Mapping[int, float], running: list[Task]) -> None:
        stalled = dict.fromkeys(load, 0.0)
        traffic = 0.0
        for task in running:
            traffic += task.rate * task.amount.traffic_bytes
            for cpu in task.cpus:
                stalled[cpu] += task.stalled * task.weight / load[cpu]
        dynamic = static = asleep = 0.0
        for cpu, name in self._cluster_of.items():
            silicon = self.chip.silicon[name]
            point = self._points[name][self.khz[name]]
            busy = self.busy[cpu]
            dynamic += busy * silicon.dynamic_w(point) * (1 - stalled[cpu] * (1 - silicon.stall_share))
            sleeping = 1 - busy if self._asleep(cpu) else 0.0
            static += (1 - sleeping) * silicon.static_w(point)
            asleep += sleeping * silicon.asleep_w
        self._watts = {
            "dynamic": dynamic,
            "static": static,
            "asleep": asleep,
            "dram": traffic * self.chip.dram_j_per_byte,
            "uncore": self.chip.uncore_w,
            "board": self.chip.board_w,
        }
