"""Boxes that are built in code, and what stages cost on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from voicebot.cpu.box import Box, Cluster, OperatingPoint, Trip, Zone
from voicebot.cpu.demand import Stage
from voicebot.latency.cost import StageCost

ZONE: Final = "soc"
TRIP_C: Final = 85.0
_LITTLE: Final = ((1008, 0.675), (1200, 0.7125), (1416, 0.7625), (1608, 0.85), (1800, 0.95))
_BIG: Final = (
    *((1200, 0.675), (1416, 0.725), (1608, 0.7625), (1800, 0.85), (2016, 0.925)),
    *((2208, 0.9875), (2400, 1.0)),
)
PREFERENCES: Final = ("default", "performance", "balance_performance", "balance_power", "power")


def _points(rows: tuple[tuple[int, float], ...]) -> tuple[OperatingPoint, ...]:
    return tuple(OperatingPoint(mhz * 1000, volts) for mhz, volts in rows)


def rk3588() -> Box:
    """Four A55 and twice two A76, by the mainline device tree."""
    return Box(
        clusters=(
            Cluster("policy0", (0, 1, 2, 3), 530, _points(_LITTLE)),
            Cluster("policy4", (4, 5), 1024, _points(_BIG)),
            Cluster("policy6", (6, 7), 1024, _points(_BIG)),
        ),
        zones=(Zone(ZONE, "thermal_zone0", (Trip("passive", TRIP_C), Trip("critical", 115.0))),),
    )


def equal(cores: int, smt: int = 1) -> Box:
    """A box like an x86: each cpu has a frequency of its own, no voltages. Siblings are i and i + cores."""
    points = tuple(OperatingPoint(khz) for khz in range(1_000_000, 4_000_001, 500_000))
    cpus = range(cores * smt)
    return Box(
        clusters=tuple(
            Cluster(f"policy{cpu}", (cpu,), points=points, preference="default", preferences=PREFERENCES)
            for cpu in cpus
        ),
        threads_of_core={cpu: tuple(range(cpu % cores, cores * smt, cores)) for cpu in cpus},
    )


def unknown(cores: int) -> Box:
    """A box that says nothing: a virtual machine, or a container."""
    return Box((Cluster("all", tuple(range(cores))),))


def costs(big: str = "policy4", little: str = "policy0") -> Mapping[tuple[Stage, str], StageCost]:
    """A 1.5B model and four threads on the big cores; decoding waits for memory. Slower on the little ones."""
    big_costs: dict[Stage, StageCost] = {
        "asr": StageCost(0.01, 0.09, 0.003, 1.2),
        "slm_read": StageCost(0.05, 0.09, 0.0, 1.1),
        "slm": StageCost(0.0, 0.012, 0.050, 1.1),
        "tts": StageCost(0.003, 0.02, 0.001, 1.3),
        "turn": StageCost(0.0, 0.25, 0.001, 1.1),
    }
    slower: dict[tuple[Stage, str], StageCost] = {
        (stage, little): StageCost(cost.base_s, 3 * cost.gcycles_per_unit, cost.memory_s_per_unit, cost.margin)
        for stage, cost in big_costs.items()
    }
    return slower | {(stage, big): cost for stage, cost in big_costs.items()}
