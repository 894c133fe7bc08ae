"""What is to run where, how fast, and with what precedence: what the policy decides and the actuators carry out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["audio", "asr", "slm", "tts", "turn", "other"]
"""Who runs: the daemon's own audio and turn-taking, one of the workers, or all the rest of the service."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a role runs. The clamps are the kernel's own, 0 to 1024; `threads` is how many the cores suit."""

    cpus: tuple[int, ...]
    threads: int
    nice: int = 0
    realtime: bool = False
    """Whether its own thread is scheduled before all normal ones."""
    clamp_min: int = 0
    clamp_max: int = 1024


@dataclass(frozen=True, slots=True)
class Speed:
    """Within which limits a cluster chooses its frequency, in kHz; and its energy-performance preference, if any."""

    floor_khz: int
    ceiling_khz: int
    preference: str = ""


@dataclass(frozen=True, slots=True)
class Placement:
    """A whole decision. What it does not name stays as it is."""

    seats: Mapping[Role, Seat] = field(default_factory=dict)
    speeds: Mapping[str, Speed] = field(default_factory=dict)
    """By the cluster's name."""
    wake_up_us: int | None = None
    """How long a core may take to wake up; None when it does not matter."""
