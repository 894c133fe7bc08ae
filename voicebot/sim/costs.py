"""What a stage's work takes: cycles, and bytes from memory. Figures and their sources are in docs/simulator.md.

Cycles are those of the machine that docs/benchmarks.md was measured on; `Chip.stage_cycles` converts them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from voicebot.cpu.demand import Stage
from voicebot.latency.cost import StageCost
from voicebot.sim.chip import Chip

SHORTEST_WINDOW_S: Final = 5.0
"""Recognition encodes at least so much."""
CONTEXT_PHONEMES: Final = 8.0
"""What is computed around a window of sound and thrown away."""
FIRST_WINDOW_S: Final = 0.25
"""Of a clause; each further one is twice as long."""
PHONEMES_PER_TOKEN: Final = 3.5
PHONEMES_PER_SECOND: Final = 14.0
FIRST_WINDOW_PHONEMES: Final = FIRST_WINDOW_S * PHONEMES_PER_SECOND + CONTEXT_PHONEMES
NOISE: Final[Mapping[Stage, float]] = MappingProxyType(
    {"asr": 0.3, "slm_read": 0.1, "slm": 0.08, "tts": 0.25, "turn": 0.1}
)
"""The standard deviation of the logarithm of a request's work, for a step of the language model too."""

_CYCLES_PER_WEIGHT_READ: Final = 0.15
_CYCLES_PER_WEIGHT_DECODED: Final = 0.055
"""Less than above: most of it hides behind the reading of the weights."""
_P90: Final = 1.2816
_GIGA: Final = 1e9


@dataclass(frozen=True, slots=True)
class Amount:
    """Work: cycles of the best core in all, and bytes."""

    cycles: float
    traffic_bytes: float

    def times(self, factor: float) -> Amount:
        """Return so many times the work."""
        return Amount(self.cycles * factor, self.traffic_bytes * factor)


@dataclass(frozen=True, slots=True)
class Models:
    """The language model, which differs; recognition and synthesis are those of the benchmarks."""

    name: str
    weights: float
    weight_bytes: float
    cell_bytes: float
    """Keys and values of one token of context."""
    context_tokens: float = 400.0
    """How long a conversation is, on average."""


SMOLLM2_135M: Final = Models("135M Q4_1", 135e6, 98e6, 23_040)
SLM_1_5B: Final = Models("1.5B Q4", 1.5e9, 0.9e9, 28_672)
SLM_2B: Final = Models("2B Q4", 2.0e9, 1.2e9, 65_536)


def stage_work(chip: Chip, models: Models, stage: Stage, units: float) -> Amount:
    """Return the work of a request: seconds that are encoded, tokens, phonemes that are computed, or looks."""
    cycles, fixed_bytes, unit_bytes = _per_unit(models, stage)
    return Amount(cycles * units * chip.stage_cycles[stage], fixed_bytes + unit_bytes * units)


def step_work(chip: Chip, models: Models, tokens: int, cells: float) -> Amount:
    """Return the work of one step of the language model: some tokens in one batch, and the cells that they look at."""
    more = (tokens - 1) * _CYCLES_PER_WEIGHT_READ * chip.stage_cycles["slm_read"]
    cycles = models.weights * (_CYCLES_PER_WEIGHT_DECODED * chip.stage_cycles["slm"] + more)
    return Amount(cycles, models.weight_bytes + cells * models.cell_bytes)


def stage_cost(chip: Chip, models: Models, stage: Stage, cluster: str, threads: int) -> StageCost:
    """Return what a perfect fit would know of a stage on some cores of a cluster, alone on the box."""
    cycles, fixed_bytes, unit_bytes = _per_unit(models, stage)
    silicon = chip.silicon[cluster]
    bytes_s = min(threads * silicon.core_bandwidth_bytes_s, chip.bandwidth_bytes_s)
    return StageCost(
        base_s=fixed_bytes / bytes_s,
        gcycles_per_unit=cycles * chip.stage_cycles[stage] / (silicon.ipc * chip.speedup(threads)) / _GIGA,
        memory_s_per_unit=unit_bytes / bytes_s,
        margin=math.exp(_P90 * NOISE[stage]),
    )


def _per_unit(models: Models, stage: Stage) -> tuple[float, float, float]:
    """Return cycles per unit, bytes per request, and bytes per unit."""
    match stage:
        case "asr":
            return 118e6, 0.0, 60e6
        case "slm_read":
            return models.weights * _CYCLES_PER_WEIGHT_READ, models.weight_bytes, 0.0
        case "slm":
            step_bytes = models.weight_bytes + models.context_tokens * models.cell_bytes
            return models.weights * _CYCLES_PER_WEIGHT_DECODED, 0.0, step_bytes
        case "tts":
            return 27e6, 60e6, 10e6
        case "turn":
            return 100e6, 0.0, 9e6
