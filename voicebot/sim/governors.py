"""What Linux has for choosing a cluster's frequency, each within the limits that are set for the cluster.

`powersave` and `performance` are those of cpufreq, not of intel_pstate. `Schedutil` is also what the policy of the
daemon steers by floors, ceilings and clamps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from voicebot.cpu.box import FULL_CAPACITY, Cluster
from voicebot.cpu.placement import Role
from voicebot.sim.machine import Machine
from voicebot.sim.pelt import Utilisation

_HEADROOM: Final = 1.25
_NEARLY: Final = 1e-6
_UNBOUND: Final = (0.0, 1.0)

Bounds = dict[int, tuple[float, float]]
"""Between which values the utilisation of a cpu counts."""


class Fixed:
    """One frequency: the nearest to what is wanted that is not below it, within the limits."""

    def __init__(self, choose: Callable[[Cluster], int]) -> None:
        """`choose` gives the wanted frequency of a cluster in kHz."""
        self._choose = choose

    def update(self, machine: Machine) -> float:
        """Ask for it."""
        for cluster in machine.chip.box.clusters:
            floor, ceiling = machine.limits(cluster.name)
            machine.request(cluster.name, min(max(cluster.at_least(self._choose(cluster)), floor), ceiling))
        return math.inf


def performance() -> Fixed:
    """Return the governor that is always at the top."""
    return Fixed(lambda cluster: cluster.highest_khz)


def powersave() -> Fixed:
    """Return the governor that is always at the bottom."""
    return Fixed(lambda cluster: cluster.lowest_khz)


def fixed(share: float) -> Fixed:
    """Return one that stays at a share of each cluster's top frequency."""
    return Fixed(lambda cluster: int(share * cluster.highest_khz))


class Ondemand:
    """Samples: above the threshold to the top at once, below it proportional (Linux, cpufreq_ondemand.c)."""

    def __init__(self, sampling_s: float = 0.010, up_threshold: float = 0.80) -> None:
        self._sampling_s = sampling_s
        self._threshold = up_threshold
        self._sampled_s = 0.0
        self._busy_s: dict[int, float] = {}

    def update(self, machine: Machine) -> float:
        """Sample if it is time, and as long as anything runs or a frequency is above its floor."""
        passed_s = machine.now_s - self._sampled_s
        if passed_s >= self._sampling_s * (1 - _NEARLY):
            for cluster in machine.chip.box.clusters:
                self._choose(machine, cluster, passed_s)
            self._sampled_s = machine.now_s
            self._busy_s = dict(machine.busy_s)
        if not machine.tasks and all(machine.wanted_khz(each) <= machine.limits(each)[0] for each in machine.khz):
            return math.inf
        return self._sampled_s + self._sampling_s

    def _choose(self, machine: Machine, cluster: Cluster, passed_s: float) -> None:
        load = max(machine.busy_s[cpu] - self._busy_s.get(cpu, 0.0) for cpu in cluster.cpus) / passed_s
        floor, ceiling = machine.limits(cluster.name)
        wanted = ceiling if load > self._threshold else floor + load * (ceiling - floor)
        machine.request(cluster.name, min(max(cluster.at_least(wanted - _NEARLY), floor), ceiling))


class Schedutil:
    """f = 1.25 f_max u / capacity of the busiest core (Linux, cpufreq_schedutil.c), u by sim/pelt.py.

    It acts in the moment in which u crosses to another operating point, which is up to a tick (4 ms) sooner than the
    kernel's does. With `util_est` it starts as Linux does since 4.17, from what the worker used the last time.
    """

    def __init__(self, *, util_est: bool = True, rate_limit_s: float = 0.010) -> None:
        self._estimates = util_est
        self._rate_limit_s = rate_limit_s
        self._cores: dict[int, Utilisation] = {}
        self._known: dict[str, tuple[object, float]] = {}
        self._changed_s: dict[str, float] = {}
        self._running: dict[int, set[Role]] = {}
        self._estimate: dict[Role, float] = {}

    def update(self, machine: Machine) -> float:
        """Ask for what the utilisation is worth; return when it is worth something else."""
        bounds = self._notice(machine)
        next_s = math.inf
        for cluster in machine.chip.box.clusters:
            key = self._key(machine, cluster, bounds)
            known, until_s = self._known.get(cluster.name, (None, 0.0))
            if key != known or machine.now_s >= until_s:
                until_s = self._choose(machine, cluster, bounds)
                self._known[cluster.name] = (self._key(machine, cluster, bounds), until_s)
            next_s = min(next_s, until_s)
        return next_s

    def _key(self, machine: Machine, cluster: Cluster, bounds: Bounds) -> tuple[object, ...]:
        """Return all that a choice depends on beside the time."""
        name, cpus = cluster.name, cluster.cpus
        cores = [(machine.busy[cpu], bounds.get(cpu)) for cpu in cpus]
        return machine.khz[name], machine.wanted_khz(name), machine.limits(name), *cores

    def _choose(self, machine: Machine, cluster: Cluster, bounds: Bounds) -> float:
        now_s, name, top_khz = machine.now_s, cluster.name, cluster.highest_khz
        capacity = cluster.capacity / FULL_CAPACITY
        used = 0.0
        for cpu in cluster.cpus:
            core = self._cores.setdefault(cpu, Utilisation())
            core.run(now_s, machine.busy[cpu], capacity * machine.khz[name] / top_khz)
            low, high = bounds.get(cpu, _UNBOUND)
            used = max(used, min(max(core.at(now_s), low), high))
        floor, ceiling = machine.limits(name)
        top = _HEADROOM * top_khz / capacity
        wanted = min(max(cluster.at_least(used * top * (1 - _NEARLY)), floor), ceiling)
        current = machine.wanted_khz(name)
        free_s = self._changed_s.get(name, -math.inf) + self._rate_limit_s
        if wanted == current:
            return max(free_s, self._crossing_s(cluster, wanted, top, bounds))
        if now_s < free_s and floor <= current <= ceiling:
            return free_s
        machine.request(name, wanted)
        self._changed_s[name] = now_s
        return now_s + self._rate_limit_s

    def _notice(self, machine: Machine) -> Bounds:
        """Learn what a role used when it leaves a core; return between which values each core's utilisation counts."""
        running: dict[int, set[Role]] = {}
        clamps: Bounds = {}
        for task in machine.tasks:
            low, high = task.seat.clamp_min / FULL_CAPACITY, task.seat.clamp_max / FULL_CAPACITY
            for cpu in task.cpus:
                running.setdefault(cpu, set()).add(task.role)
                least, most = clamps.get(cpu, (0.0, 0.0))
                clamps[cpu] = (max(least, low), max(most, high))
        if not self._estimates:
            return clamps
        for cpu, roles in self._running.items():
            for role in roles - running.get(cpu, set()):
                self._learn(role, self._cores[cpu].at(machine.now_s))
        self._running = running
        for cpu, roles in running.items():
            least, most = clamps[cpu]
            clamps[cpu] = (max(least, *(self._estimate.get(role, 0.0) for role in roles)), most)
        return clamps

    def _learn(self, role: Role, used: float) -> None:
        """Follow a rise at once and a fall by a quarter (Linux, util_est_update)."""
        estimate = self._estimate.get(role, 0.0)
        self._estimate[role] = max(used, estimate + (used - estimate) / 4)

    def _crossing_s(self, cluster: Cluster, wanted_khz: int, top: float, bounds: Bounds) -> float:
        """Return when the busiest core's utilisation is worth another operating point."""
        points = cluster.points
        above = wanted_khz / top * (1 + 2 * _NEARLY) if wanted_khz < points[-1].khz else math.inf
        below = max((point.khz for point in points if point.khz < wanted_khz), default=-1) / top
        rising_s = math.inf
        falling_s = -math.inf
        for cpu in cluster.cpus:
            low, high = bounds.get(cpu, _UNBOUND)
            core = self._cores[cpu]
            if above < high:
                rising_s = min(rising_s, core.reaches_s(above))
            if low > below:
                falling_s = math.inf
            elif core.value > below:
                falling_s = max(falling_s, core.reaches_s(below))
        return min(rising_s, falling_s if falling_s > -math.inf else math.inf)
