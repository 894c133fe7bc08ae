"""What a set of models needs in memory, against what the box has. MB are 10^6 bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voicebot.errors import ModelError
from voicebot.models.catalogue import BYTES_PER_MB, Model

FORMULA: Final = "weights + KV (bytes per token x context x sessions) + work per model, + audio per session"

# Per session: 60 s of microphone and of reply at 48 kHz int16, and the echo canceller's state.
AUDIO_MB_PER_SESSION: Final = 12.0
KV_BYTES_PER_ELEMENT: Final = 2.0
_UNLIMITED_BYTES: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One model's need, in MB."""

    model: Model
    weights_mb: float
    kv_mb: float
    work_mb: float

    @property
    def total_mb(self) -> float:
        """All of it."""
        return self.weights_mb + self.kv_mb + self.work_mb


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The need of all models and sessions against what is available; `smaller` are models to fall back on."""

    rows: tuple[MemoryRow, ...]
    audio_mb: float
    available_mb: float
    smaller: tuple[MemoryRow, ...] = ()
    formula: str = FORMULA

    @property
    def total_mb(self) -> float:
        """What everything together needs."""
        return sum(row.total_mb for row in self.rows) + self.audio_mb

    @property
    def fits(self) -> bool:
        """Whether the need is within what is available."""
        return self.total_mb <= self.available_mb

    def check(self) -> None:
        """Raise `ModelError` with the refusal when the models do not fit."""
        if not self.fits:
            raise ModelError(self.refusal())

    def refusal(self) -> str:
        """Return one sentence: what is needed, what there is, and which smaller model would fit."""
        largest = max(self.rows, key=lambda row: row.total_mb)
        if largest.weights_mb > self.available_mb:
            need = f"{largest.model.id} alone has {largest.weights_mb:.0f} MB of weights"
        else:
            parts = ", ".join(f"{row.model.id} {row.total_mb:.0f}" for row in self.rows)
            need = f"These models need {self.total_mb:.0f} MB ({parts}, audio {self.audio_mb:.0f})"
        return f"{need} where {self.available_mb:.0f} MB are available; {self._way_out(largest)}."

    def _way_out(self, largest: MemoryRow) -> str:
        rest_mb = self.total_mb - largest.total_mb
        fitting = [
            row for row in self.smaller if _replaces(row, largest) and rest_mb + row.total_mb <= self.available_mb
        ]
        if fitting:
            best = max(fitting, key=lambda row: row.weights_mb)
            return f"use {best.model.id} ({best.total_mb:.0f} MB) in place of {largest.model.id}"
        if largest.kv_mb > largest.weights_mb:
            return "use a shorter context or fewer sessions"
        return "no smaller model makes it fit: free some memory or use a larger box"


def plan_memory(
    models: Sequence[Model],
    context_tokens: int,
    sessions: int,
    available_mb: float,
    kv_bytes_per_element: float = KV_BYTES_PER_ELEMENT,
    alternatives: Sequence[Model] = (),
) -> MemoryPlan:
    """Plan `models` for that many sessions of `context_tokens` each.

    `kv_bytes_per_element` is 2 for an f16 cache, 1.0625 for q8_0, 0.5625 for q4_0. `alternatives`, usually the whole
    catalogue, is where a refusal looks for something smaller.
    """
    kv_scale = context_tokens * sessions * kv_bytes_per_element / KV_BYTES_PER_ELEMENT / BYTES_PER_MB

    def row(model: Model) -> MemoryRow:
        need = model.memory
        return MemoryRow(model, need.weights_mb, need.kv_bytes_per_token * kv_scale, need.work_mb)

    return MemoryPlan(
        tuple(map(row, models)), AUDIO_MB_PER_SESSION * sessions, available_mb, tuple(map(row, alternatives))
    )


def _replaces(row: MemoryRow, largest: MemoryRow) -> bool:
    mine, its = row.model, largest.model
    shared = not its.languages or bool(set(mine.languages) & set(its.languages))
    return mine.id != its.id and mine.stage == its.stage and shared and not mine.accept_licence


def available_memory_mb(root: Path = Path("/")) -> float:
    """Return the memory that may still be taken: the kernel's estimate, or what this process's cgroups leave.

    proc and sys are read under `root`. Page cache that the kernel would give back counts as free. `ModelError` when
    the kernel doesn't say.
    """
    left = [_table(root / "proc/meminfo").get("MemAvailable", -1) * 1024, *_cgroup_left(root)]
    if left[0] < 0:
        raise ModelError(f"{root / 'proc/meminfo'} does not say how much memory is available; mount /proc.")
    return max(0, min(left)) / BYTES_PER_MB


def _cgroup_left(root: Path) -> list[int]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    left: list[int] = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            mount, limit, usage, cache = root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            limit, usage, cache = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        # A limit of any parent holds too; in a container only the mount itself may be visible.
        folder = mount / group.strip("/")
        for level in (level for level in (folder, *folder.parents) if level.is_relative_to(mount)):
            most = _number(level / limit)
            if most is not None and most < _UNLIMITED_BYTES:
                reclaimable = _table(level / "memory.stat").get(cache, 0)
                left.append(most - (_number(level / usage) or 0) + reclaimable)
    return left


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _table(path: Path) -> dict[str, int]:
    """Read lines of a name and a number, as in meminfo and memory.stat; nothing when there is no such file."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}
