"""What the model of a box knows beside its operating points: power, memory, heat, delays. No I/O.

A busy core takes C f V^2 + s V^2 watts (dynamic and static), a core that waits for memory a share of the dynamic part,
one that idles only s V^2 until it falls asleep, then next to nothing. Every number of the two boxes stands in
docs/simulator.md with its source, or is called an assumption there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

from voicebot.cpu.box import Box, Cluster, OperatingPoint, Trip, Zone
from voicebot.cpu.demand import Stage
from voicebot.cpu.power import CORTEX_A55, CORTEX_A76, PC, CorePower

_UW_PER_W: Final = 1e6
_KHZ_PER_MHZ: Final = 1000


@dataclass(frozen=True, slots=True)
class Silicon:
    """One core of a cluster."""

    dynamic_uw_per_mhz_v2: float
    static_w_per_v2: float
    asleep_w: float
    stall_share: float
    """Dynamic power while waiting for memory, as a share of that while computing."""
    ipc: float
    """Work per cycle, the best core's being 1."""
    core_bandwidth_bytes_s: float
    """The most that one core can read."""

    def dynamic_w(self, point: OperatingPoint) -> float:
        """Return what computing without a pause takes at an operating point, static power excluded."""
        volts = point.volts or 0.0
        return self.dynamic_uw_per_mhz_v2 * point.khz / _KHZ_PER_MHZ * volts * volts / _UW_PER_W

    def static_w(self, point: OperatingPoint) -> float:
        """Return what a core takes that is awake and does nothing."""
        volts = point.volts or 0.0
        return self.static_w_per_v2 * volts * volts


@dataclass(frozen=True, slots=True)
class Cooling:
    """Two stages of resistance and capacity, the die and what it is mounted on; and when the firmware slows down."""

    ambient_c: float
    die_k_per_w: float
    die_j_per_k: float
    sink_k_per_w: float
    sink_j_per_k: float
    trip_c: float
    hysteresis_k: float
    poll_s: float
    """While it is too hot, one operating point down, or up again, each time."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A box, and all that its model needs. Clusters are by name."""

    name: str
    box: Box
    silicon: Mapping[str, Silicon]
    cooling: Cooling
    stage_cycles: Mapping[Stage, float]
    """How many cycles of the best core the work of one cycle of the machine of docs/benchmarks.md takes."""
    bandwidth_bytes_s: float
    """All cores together."""
    dram_j_per_byte: float
    uncore_w: float
    """Interconnect, caches and the memory's refresh, whatever happens."""
    board_w: float
    """The rest of the box. It counts neither as the processor's energy nor as its heat."""
    sync_overhead: float
    """n threads are n / (1 + sync_overhead * (n - 1)) times as fast as one."""
    actuation_s: float
    """From a request for a frequency until it is there."""
    asleep_after_s: float
    wake_up_s: float

    def speedup(self, threads: int) -> float:
        """Return how much faster so many threads are than one."""
        return threads / (1 + self.sync_overhead * (threads - 1))

    def point(self, cluster: str, khz: int) -> OperatingPoint:
        """Return a cluster's operating point of a frequency. Raises KeyError."""
        for each in self.cluster(cluster).points:
            if each.khz == khz:
                return each
        raise KeyError(khz)

    def cluster(self, name: str) -> Cluster:
        """Return a cluster by its name. Raises KeyError."""
        for each in self.box.clusters:
            if each.name == name:
                return each
        raise KeyError(name)


def _varying(kind: type[Silicon | Cooling | Chip]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.type == "float")


PARAMETERS: Final = (*_varying(Silicon), *_varying(Cooling), *_varying(Chip), "stage_cycles", "volts")


def varied(chip: Chip, name: str, factor: float) -> Chip:
    """Return the same box with one of PARAMETERS multiplied, in all clusters. Raises KeyError for another name."""
    if name not in PARAMETERS:
        raise KeyError(name)
    if name in _varying(Chip):
        return replace(chip, **{name: getattr(chip, name) * factor})
    if name in _varying(Cooling):
        return replace(chip, cooling=replace(chip.cooling, **{name: getattr(chip.cooling, name) * factor}))
    if name == "stage_cycles":
        return replace(chip, stage_cycles={stage: cycles * factor for stage, cycles in chip.stage_cycles.items()})
    if name == "volts":
        clusters = tuple(replace(each, points=_scaled(each.points, factor)) for each in chip.box.clusters)
        return replace(chip, box=replace(chip.box, clusters=clusters))
    silicon = {key: replace(each, **{name: getattr(each, name) * factor}) for key, each in chip.silicon.items()}
    return replace(chip, silicon=silicon)


def _scaled(points: tuple[OperatingPoint, ...], factor: float) -> tuple[OperatingPoint, ...]:
    return tuple(OperatingPoint(each.khz, None if each.volts is None else each.volts * factor) for each in points)


def _points(core: CorePower) -> tuple[OperatingPoint, ...]:
    return tuple(OperatingPoint(khz, volts) for khz, volts in core.volts_at_khz)


_GOVERNORS: Final = ("conservative", "ondemand", "userspace", "powersave", "performance", "schedutil")


def _cluster(name: str, cpus: tuple[int, ...], capacity: int, points: tuple[OperatingPoint, ...]) -> Cluster:
    return Cluster(
        name,
        cpus,
        capacity,
        points,
        "schedutil",
        _GOVERNORS,
        floor_khz=points[0].khz,
        ceiling_khz=points[-1].khz,
    )


def rk3588() -> Chip:
    """Return a board with four Cortex-A55 and twice two Cortex-A76, passively cooled in a closed case."""
    little, big = _points(CORTEX_A55), _points(CORTEX_A76)
    clusters = (
        _cluster("policy0", (0, 1, 2, 3), 397, little),
        _cluster("policy4", (4, 5), 1024, big),
        _cluster("policy6", (6, 7), 1024, big),
    )
    trips = (Trip("passive", 85.0), Trip("critical", 115.0))
    zone = Zone("bigcore0-thermal", "sys/class/thermal/thermal_zone1", trips)
    a55 = Silicon(
        dynamic_uw_per_mhz_v2=CORTEX_A55.uw_per_mhz_v2,
        static_w_per_v2=0.015,
        asleep_w=0.002,
        stall_share=0.6,
        ipc=0.26,
        core_bandwidth_bytes_s=3.0e9,
    )
    a76 = Silicon(
        dynamic_uw_per_mhz_v2=CORTEX_A76.uw_per_mhz_v2,
        static_w_per_v2=0.06,
        asleep_w=0.005,
        stall_share=0.6,
        ipc=1.0,
        core_bandwidth_bytes_s=10.0e9,
    )
    return Chip(
        name="rk3588",
        box=Box(clusters, {cpu: (cpu,) for cpu in range(8)}, (zone,), (), has_dma_latency=True),
        silicon={"policy0": a55, "policy4": a76, "policy6": a76},
        cooling=Cooling(
            ambient_c=35.0,
            die_k_per_w=1.6,
            die_j_per_k=3.0,
            sink_k_per_w=5.0,
            sink_j_per_k=40.0,
            trip_c=85.0,
            hysteresis_k=2.0,
            poll_s=0.1,
        ),
        stage_cycles={"asr": 2.5, "slm_read": 0.8, "slm": 1.33, "tts": 2.5, "turn": 2.5},
        bandwidth_bytes_s=18.0e9,
        dram_j_per_byte=60e-12,
        uncore_w=0.5,
        board_w=3.5,
        sync_overhead=0.05,
        actuation_s=1e-3,
        asleep_after_s=1e-3,
        wake_up_s=220e-6,
    )


def x86_8core() -> Chip:
    """Return a mini PC with eight equal cores of 15 W together at their base clock of 1.9 GHz, cooled for 35 W."""
    points = _points(PC)
    clusters = tuple(_cluster(f"policy{cpu}", (cpu,), 1024, points) for cpu in range(8))
    zone = Zone("x86_pkg_temp", "sys/class/thermal/thermal_zone0", (Trip("passive", 95.0), Trip("critical", 105.0)))
    core = Silicon(
        dynamic_uw_per_mhz_v2=PC.uw_per_mhz_v2,
        static_w_per_v2=0.4,
        asleep_w=0.01,
        stall_share=0.6,
        ipc=1.0,
        core_bandwidth_bytes_s=20.0e9,
    )
    return Chip(
        name="x86_8core",
        box=Box(clusters, {cpu: (cpu,) for cpu in range(8)}, (zone,), (), has_dma_latency=True),
        silicon={each.name: core for each in clusters},
        cooling=Cooling(
            ambient_c=30.0,
            die_k_per_w=0.5,
            die_j_per_k=8.0,
            sink_k_per_w=1.3,
            sink_j_per_k=150.0,
            trip_c=95.0,
            hysteresis_k=5.0,
            poll_s=0.1,
        ),
        stage_cycles={"asr": 1.5, "slm_read": 0.6, "slm": 1.0, "tts": 1.5, "turn": 1.5},
        bandwidth_bytes_s=38.0e9,
        dram_j_per_byte=120e-12,
        uncore_w=2.0,
        board_w=5.0,
        sync_overhead=0.05,
        actuation_s=1e-3,
        asleep_after_s=0.6e-3,
        wake_up_s=133e-6,
    )
