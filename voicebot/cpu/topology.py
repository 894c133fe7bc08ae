"""The box's processor, read from the kernel's files. What a box does not tell is left out, with one line in the log."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from voicebot.cpu.box import FULL_CAPACITY, Box, Cluster, OperatingPoint
from voicebot.cpu.meters import find_meters
from voicebot.cpu.sysfs import Folder
from voicebot.cpu.thermal import find_zones

_CPU: Final = "sys/devices/system/cpu"
_STEP_KHZ: Final = 100_000
_SLOWEST_KHZ: Final = 10_000
_FASTEST_KHZ: Final = 20_000_000
"""A frequency outside of these is nonsense; some drivers have mixed up kHz with MHz."""
_ALIKE: Final = 0.85
"""Favoured cores of one kind differ by some percent in their top frequency, kinds of core by a fifth at least."""

_log = logging.getLogger(__name__)


def read_box(root: Path = Path("/"), usable: Collection[int] | None = None) -> Box:
    """Return the box whose files are below a file system's root.

    `usable` are the processors that this process may run on; all that are online when not given. Each one that is
    online and usable is in exactly one cluster: that of its cpufreq policy, or "all" (without any policy), or "other".
    """
    cpus = _cpus(root, usable)
    clusters = _with_capacities(list(_clusters(root, cpus)), root)
    return Box(
        clusters=tuple(clusters),
        threads_of_core={cpu: _siblings(root, cpu, cpus) for cpu in cpus},
        zones=find_zones(root),
        meters=find_meters(root),
        has_dma_latency=bool(Folder(root / "dev").matching("cpu_dma_latency")),
    )


def _cpus(root: Path, usable: Collection[int] | None) -> tuple[int, ...]:
    folder = Folder(root / _CPU)
    online = folder.cpus("online") or folder.cpus("present")
    may = set(os.sched_getaffinity(0) if usable is None else usable)
    if not online:
        _log.warning("%s does not say which processors are online; taken are those that may be used", folder.path)
        return tuple(sorted(may)) or (0,)
    both = tuple(cpu for cpu in online if usable is None or cpu in may)
    if not both:
        _log.warning("%s says that none of the usable processors is online; all that are online are taken", folder.path)
    return both or online


def _clusters(root: Path, cpus: tuple[int, ...]) -> Iterator[Cluster]:
    left = set(cpus)
    policies = Folder(root / _CPU / "cpufreq").matching("policy*")
    for path in policies:
        cluster = _cluster(path, left)
        left -= set(cluster.cpus)
        if cluster.cpus:
            yield cluster
    if left and policies:
        _log.warning("no cpufreq policy has the processors %s; their frequency is unknown", sorted(left))
    if left:
        yield Cluster("other" if policies else "all", tuple(sorted(left)))


def _cluster(path: Path, left: Collection[int]) -> Cluster:
    folder = Folder(path)
    related = folder.cpus("related_cpus") or folder.cpus("affected_cpus")
    cluster = Cluster(
        name=path.name,
        cpus=tuple(cpu for cpu in related if cpu in left),
        points=_points(folder),
        governor=folder.word("scaling_governor"),
        governors=folder.words("scaling_available_governors"),
        preference=folder.word("energy_performance_preference"),
        preferences=folder.words("energy_performance_available_preferences"),
        floor_khz=_khz(folder, "scaling_min_freq") or 0,
        ceiling_khz=_khz(folder, "scaling_max_freq") or 0,
    )
    if cluster.floor_khz > cluster.ceiling_khz > 0:
        folder.nonsense.append("scaling_min_freq")
        cluster = replace(cluster, floor_khz=0)
    if folder.nonsense:
        _log.warning("%s: these make no sense and are left out: %s", path, ", ".join(sorted(set(folder.nonsense))))
    return cluster


def _points(folder: Folder) -> tuple[OperatingPoint, ...]:
    """Return the operating points of a policy; every 100 MHz of its range where the driver lists none.

    intel_pstate and amd-pstate take any frequency, and their processors have such steps.
    """
    lowest, highest = _khz(folder, "cpuinfo_min_freq"), _khz(folder, "cpuinfo_max_freq")
    if lowest and highest and lowest > highest:
        folder.nonsense.append("cpuinfo_max_freq")
        lowest = highest = None
    between = range((lowest // _STEP_KHZ + 1) * _STEP_KHZ, highest, _STEP_KHZ) if lowest and highest else ()
    khz = {lowest, highest, *(_listed(folder) or between)}
    return tuple(OperatingPoint(each) for each in sorted(filter(None, khz)))


def _listed(folder: Folder) -> tuple[int, ...]:
    listed = folder.numbers("scaling_available_frequencies")
    if all(map(_sensible_khz, listed)):
        return listed
    folder.nonsense.append("scaling_available_frequencies")
    return ()


def _khz(folder: Folder, name: str) -> int | None:
    number = folder.number(name)
    khz = None if number is None else _sensible_khz(number)
    if number is not None and khz is None:
        folder.nonsense.append(name)
    return khz


def _sensible_khz(khz: int) -> int | None:
    return khz if _SLOWEST_KHZ <= khz <= _FASTEST_KHZ else None


def _with_capacities(clusters: list[Cluster], root: Path) -> list[Cluster]:
    """Give each cluster its capacity: as the kernel says, or by top frequency where kinds of core seem to differ.

    The kernel says nothing on most x86 boxes, hybrid ones included unless it is new.
    """
    told = {cluster.name: _capacity(root, cluster) for cluster in clusters}
    if all(told.values()):
        return [replace(cluster, capacity=told[cluster.name] or FULL_CAPACITY) for cluster in clusters]
    if any(told.values()):
        silent = [name for name, capacity in told.items() if not capacity]
        _log.warning("the capacity of %s is unknown; all are judged by their top frequencies", ", ".join(silent))
    top = {cluster.name: cluster.highest_khz for cluster in clusters}
    if min(top.values()) >= _ALIKE * max(top.values()) or not all(top.values()):
        return clusters
    return [
        replace(cluster, capacity=round(FULL_CAPACITY * top[cluster.name] / max(top.values()))) for cluster in clusters
    ]


def _capacity(root: Path, cluster: Cluster) -> int | None:
    """Return the capacity of the first processor of a cluster that has a sensible one."""
    numbers = (Folder(root / _CPU / f"cpu{cpu}").number("cpu_capacity") for cpu in cluster.cpus)
    return next((number for number in numbers if number and 0 < number <= FULL_CAPACITY), None)


def _siblings(root: Path, cpu: int, cpus: Collection[int]) -> tuple[int, ...]:
    folder = Folder(root / _CPU / f"cpu{cpu}" / "topology")
    siblings = folder.cpus("thread_siblings_list") or folder.cpus("core_cpus_list")
    return tuple(each for each in siblings if each in cpus) if cpu in siblings else (cpu,)
