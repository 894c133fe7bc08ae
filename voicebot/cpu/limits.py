"""The limits of a cluster's frequency, and in which order they may be written: no floor is ever above its ceiling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

POLICIES: Final = "sys/devices/system/cpu/cpufreq"
FLOOR: Final = "scaling_min_freq"
CEILING: Final = "scaling_max_freq"
PREFERENCE: Final = "energy_performance_preference"
GOVERNOR: Final = "scaling_governor"

Read = Callable[[str], str | None]
"""Returns a file's content, None when it can't be read."""


def file_of(cluster: str, kind: str) -> str:
    """Return the name of one of a cluster's files below the root."""
    return f"{POLICIES}/{cluster}/{kind}"


def in_order(wanted: Mapping[str, str], read: Read) -> Iterator[str]:
    """Yield the names of files in an order in which they may be written; each is to be written before the next.

    The kernel refuses a floor above the ceiling in force, and a ceiling below the floor. Of two limits that fit each
    other one can always be written first. Those that never fit what is in force are not yielded.
    """
    waiting = dict(wanted)
    while (name := next((name for name in waiting if _fits(name, waiting[name], read)), None)) is not None:
        yield name
        del waiting[name]


def throttled(read: Read, cooling_devices: list[str]) -> bool:
    """Return whether the kernel holds a processor down for the heat: then a ceiling is not what somebody wrote."""
    return any(
        "cpufreq" in kind or kind.startswith("Processor")
        for device in cooling_devices
        if (kind := read(f"{device}/type")) and khz(read(f"{device}/cur_state"))
    )


def khz(content: str | None) -> int | None:
    """Return the number in a file, None when there is none."""
    text = (content or "").strip()
    return int(text) if text.isdecimal() else None


def _fits(name: str, content: str, read: Read) -> bool:
    folder, _, kind = name.rpartition("/")
    other = {FLOOR: CEILING, CEILING: FLOOR}.get(kind)
    if other is None:
        return True
    limit, held = khz(content), khz(read(f"{folder}/{other}"))
    if limit is None or held is None:
        return True
    return limit <= held if kind == FLOOR else limit >= held
