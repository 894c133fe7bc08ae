"""The machine of docs/benchmarks.md, as far as the simulator needs it to predict times: no power, no heat."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from voicebot.cpu.box import Box, Cluster, OperatingPoint, Zone
from voicebot.cpu.demand import Stage
from voicebot.sim.chip import Chip, Cooling, Silicon

_KHZ: Final = 3_300_000
_CORE_BYTES_S: Final = 17e9
_BOTH_BYTES_S: Final = 24e9
NOISE: Final[Mapping[Stage, float]] = {"asr": 0.26, "slm_read": 0.32, "slm": 0.08, "tts": 0.3, "turn": 0.1}
"""As in costs.py. What 330 turns took beside the median of the same clip: the distance of the outer tenths over 2.56.
It is a virtual machine, whose neighbours are part of it; stages of one turn are hardly correlated (0.14 to 0.21)."""
_CYCLES: Final[Mapping[Stage, float]] = {"asr": 0.42, "slm_read": 1.0, "slm": 1.0, "tts": 0.45, "turn": 1.15}
"""By `voicebot bench stages` on one core and on both: a question is recognised in 74 and 78 ms, a first window of sound
takes 41 and 39, so these two have one thread's work here; reading is twice as fast on both."""


def here(cores: int) -> Chip:
    """Return so many of its cores, at the one speed that they have."""
    cluster = Cluster("policy0", tuple(range(cores)), points=(OperatingPoint(_KHZ),))
    core = Silicon(
        dynamic_uw_per_mhz_v2=0.0,
        static_w_per_v2=0.0,
        asleep_w=0.0,
        stall_share=0.0,
        ipc=1.0,
        core_bandwidth_bytes_s=_CORE_BYTES_S,
    )
    room = Cooling(
        ambient_c=25.0,
        die_k_per_w=1.0,
        die_j_per_k=1.0,
        sink_k_per_w=1.0,
        sink_j_per_k=1.0,
        trip_c=math.inf,
        hysteresis_k=0.0,
        poll_s=60.0,
    )
    return Chip(
        name=f"{cores} cores here",
        box=Box((cluster,), {cpu: (cpu,) for cpu in range(cores)}, (Zone("none", ""),)),
        silicon={"policy0": core},
        cooling=room,
        stage_cycles={**_CYCLES, "slm_read": 1 / cores},
        bandwidth_bytes_s=_BOTH_BYTES_S,
        dram_j_per_byte=0.0,
        uncore_w=0.0,
        board_w=0.0,
        sync_overhead=0.05,
        actuation_s=0.0,
        asleep_after_s=math.inf,
        wake_up_s=0.0,
    )
