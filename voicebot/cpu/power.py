"""What a processor takes, reckoned where nothing measures it: P = C f V^2 for each busy core, and a constant. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from voicebot.cpu.box import FULL_CAPACITY, Box, Cluster

_LITTLE_BELOW: Final = 0.6 * FULL_CAPACITY
_PC_FROM_KHZ: Final = 3_000_000
"""No Arm core of a small board runs so fast, and every current desktop or notebook processor does."""


@dataclass(frozen=True, slots=True)
class CorePower:
    """One kind of core: C in uW / MHz / V^2, and the volts at some frequencies in kHz, ascending."""

    uw_per_mhz_v2: float
    volts_at_khz: tuple[tuple[int, float], ...]

    def watts(self, khz: float) -> float:
        """Return what a busy core takes beyond an idle one at a frequency; at the top one where that is unknown, 0."""
        at_khz, volts = zip(*self.volts_at_khz, strict=True)
        khz = khz or at_khz[-1]
        return float(self.uw_per_mhz_v2 * khz * np.interp(khz, at_khz, volts) ** 2) * 1e-9


@dataclass(frozen=True, slots=True)
class Load:
    """How much of a cluster is busy: a number of cores, fractions included."""

    cluster: str
    khz: float
    busy_cores: float


@dataclass(frozen=True, slots=True)
class ModelledPower:
    """A box: the kind of core of each cluster, by its name, and what the rest takes all the time."""

    cores: Mapping[str, CorePower]
    static_w: float

    def watts(self, loads: Iterable[Load]) -> float:
        """Return what the box takes under such loads; clusters that are not named are idle. Raises KeyError."""
        return self.static_w + sum(load.busy_cores * self.cores[load.cluster].watts(load.khz) for load in loads)


CORTEX_A55: Final = CorePower(
    228, ((1_008_000, 0.675), (1_200_000, 0.7125), (1_416_000, 0.7625), (1_608_000, 0.850), (1_800_000, 0.950))
)
CORTEX_A76: Final = CorePower(
    416,
    (
        (1_200_000, 0.675),
        (1_416_000, 0.725),
        (1_608_000, 0.7625),
        (1_800_000, 0.850),
        (2_016_000, 0.925),
        (2_208_000, 0.9875),
        (2_400_000, 1.000),
    ),
)
"""Both are the RK3588's: Linux, rk3588-base.dtsi (dynamic-power-coefficient) and rk3588-opp.dtsi (volts)."""
PC: Final = CorePower(
    1030,
    (
        (1_400_000, 0.75),
        (1_600_000, 0.77),
        (1_900_000, 0.80),
        (2_200_000, 0.84),
        (2_600_000, 0.90),
        (3_000_000, 0.97),
        (3_500_000, 1.07),
        (4_000_000, 1.20),
    ),
)
"""An assumption, good for the order of magnitude: eight such cores take 10 W at 1.9 GHz and 47 W at 4 GHz."""

_BOARD_STATIC_W: Final = 0.5
_PC_STATIC_W: Final = 2.5
"""Interconnect, caches, memory controller: assumed as in the simulator. The rest of a box is left out, as by RAPL."""


def model_of(box: Box) -> ModelledPower:
    """Return a model of a box by what its clusters look like. It is rough wherever the box is not an RK3588."""
    cores = {cluster.name: _kind(cluster) for cluster in box.clusters}
    return ModelledPower(cores, _PC_STATIC_W if PC in cores.values() else _BOARD_STATIC_W)


def _kind(cluster: Cluster) -> CorePower:
    if not cluster.points or cluster.highest_khz >= _PC_FROM_KHZ:
        return PC
    return CORTEX_A55 if cluster.capacity < _LITTLE_BELOW else CORTEX_A76
