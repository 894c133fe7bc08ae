"""Small boxes whose behaviour has a closed form."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from voicebot.cpu.box import Box, Cluster, OperatingPoint, Zone
from voicebot.sim.chip import Chip, Cooling, Silicon
from voicebot.sim.costs import Amount
from voicebot.sim.governors import fixed
from voicebot.sim.machine import Governor, Machine

POINTS: Final = (OperatingPoint(500_000, 0.7), OperatingPoint(1_000_000, 0.8), OperatingPoint(2_000_000, 1.0))
CORE: Final = Silicon(
    dynamic_uw_per_mhz_v2=500.0,
    static_w_per_v2=0.1,
    asleep_w=0.01,
    stall_share=0.5,
    ipc=1.0,
    core_bandwidth_bytes_s=8e9,
)
COOLING: Final = Cooling(
    ambient_c=25.0,
    die_k_per_w=2.0,
    die_j_per_k=2.0,
    sink_k_per_w=6.0,
    sink_j_per_k=30.0,
    trip_c=85.0,
    hysteresis_k=2.0,
    poll_s=0.1,
)


def chip(cores: int = 2) -> Chip:
    """Return equal cores in one cluster: no overhead of threads, no delay in waking up."""
    cluster = Cluster("policy0", tuple(range(cores)), 1024, POINTS)
    return Chip(
        name="small",
        box=Box((cluster,), {cpu: (cpu,) for cpu in range(cores)}, (Zone("zone", "thermal_zone0"),)),
        silicon={"policy0": CORE},
        cooling=COOLING,
        stage_cycles={"asr": 1.0, "slm_read": 1.0, "slm": 1.0, "tts": 1.0, "turn": 1.0},
        bandwidth_bytes_s=10e9,
        dram_j_per_byte=50e-12,
        uncore_w=0.3,
        board_w=2.0,
        sync_overhead=0.0,
        actuation_s=1e-3,
        asleep_after_s=1e-3,
        wake_up_s=0.0,
    )


def unequal() -> Chip:
    """Return two cores at full capacity and two at half of it, in a cluster each."""
    equal = chip(2)
    big = equal.box.clusters[0]
    little = replace(big, name="policy2", cpus=(2, 3), capacity=512)
    box = replace(equal.box, clusters=(big, little), threads_of_core={cpu: (cpu,) for cpu in range(4)})
    return replace(equal, box=box, silicon={"policy0": CORE, "policy2": replace(CORE, ipc=0.5)})


def at_top(of: Chip, governor: Governor | None = None) -> Machine:
    """Return a machine that has reached its top frequency, or what a governor makes of it."""
    machine = Machine(of, governor or fixed(1.0))
    machine.run_until(1.0)
    return machine


class Clockwork:
    """Notes when tasks are done."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.done_s: dict[str, float] = {}

    def note(self, name: str) -> None:
        self.done_s[name] = self.machine.now_s


ONE_GIGACYCLE: Final = Amount(1e9, 0.0)
