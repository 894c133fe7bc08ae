"""Which cores each role gets, by their number and capacity. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final, get_args

from voicebot.cpu.box import Box
from voicebot.cpu.placement import Role, Seat

Core = tuple[int, ...]
"""The cpus that are one physical core: more than one with SMT."""

HEAVY: Final[tuple[Role, ...]] = ("asr", "slm", "tts")
_MOST_HEAVY_CORES: Final = 4
_MOST_AUDIO_CORES: Final = 2
TOO_FEW: Final = 3
"""Up to so many cores, one set aside would be idle when it is needed most."""
_NICE: Final[Mapping[Role, int]] = {"audio": -14, "asr": -13, "tts": -10, "turn": -9, "slm": -2, "other": 5}
"""Who is short and waited for goes first: a late block is heard, a late token is not. Recognition is waited for
whenever it runs, synthesis mostly runs ahead of playback. Decoding goes on beside both on the same cores; a step is a
quarter of processor time, so beside synthesis it gets a seventh of it."""


@dataclass(frozen=True, slots=True)
class Seating:
    """Everybody's place."""

    seats: Mapping[Role, Seat]
    shared: bool
    """Whether there were too few cores to part: audio goes by priority, and one Lease holds the heavy stages apart."""
    apart: Mapping[Role, Seat] = field(default_factory=dict)
    """Where recognition and synthesis go when several sessions keep the language model busy; nowhere if too slow."""


def seats(box: Box) -> Seating:
    """Return where each role of the service runs.

    Of eight cores four are for inference, two for audio, two for the end-of-turn model and the rest; of others in
    proportion. Inference gets the fastest, audio the slowest ones. A heavy thread has a physical core to itself: SMT
    siblings would share its arithmetic units and wait for each other at every barrier.
    """
    cores = physical_cores(box)
    if len(cores) <= TOO_FEW:
        everywhere = tuple(chain(*cores))
        heavy = tuple(core[0] for core in cores)
        threads = _heavy_threads(len(cores))
        # Beside anybody else, two decoding threads are slower than one (workers/threads.py has the figures).
        return Seating(_seating(everywhere, heavy, everywhere, threads=threads, decoding=1), shared=True)
    number = _inference_cores([box.cluster_of(core[0]).capacity for core in cores])
    others, heavy = cores[:-number], tuple(core[0] for core in cores[-number:])
    quarter = min(_MOST_AUDIO_CORES, max(1, len(cores) // 4))
    audio, rest = tuple(chain(*others[:quarter])), tuple(chain(*others[quarter:]))
    parted = _seating(audio, heavy, rest, threads=number, decoding=number)
    return Seating(parted, shared=False, apart=_apart(box, parted, others))


def _apart(box: Box, seats: Mapping[Role, Seat], others: Sequence[Core]) -> dict[Role, Seat]:
    """Return seats for recognition and synthesis beside audio, where the cores there are as many and as good."""
    cpus = tuple(core[0] for core in others)[-seats["asr"].threads :]
    slowest, *_ = sorted(box.cluster_of(cpu).capacity for cpu in seats["asr"].cpus)
    if len(cpus) < seats["asr"].threads or any(box.cluster_of(cpu).capacity < slowest for cpu in cpus):
        return {}
    roles: tuple[Role, ...] = ("asr", "tts")
    return {role: replace(seats[role], cpus=cpus) for role in roles}


def physical_cores(box: Box) -> list[Core]:
    """Return the physical cores, the slowest first, and of equal ones the first."""
    cpus = set(box.cpus)
    cores = {tuple(sorted(cpus & {cpu, *box.threads_of_core.get(cpu, ())})) for cpu in cpus}
    return sorted(cores, key=lambda core: (box.cluster_of(core[0]).capacity, core))


def _heavy_threads(cores: int) -> int:
    """Return how many threads a heavy stage gets on so many equal cores."""
    return max(1, min(_MOST_HEAVY_CORES, cores if cores <= 2 else cores // 2))


def _inference_cores(ascending: Sequence[int]) -> int:
    """Return how many of the fastest cores inference gets: those that together do most, at the pace of the slowest.

    Threads meet at a barrier after every operation, so a slow core slows all: two fast ones beat two fast and two
    of a third of their capacity.
    """
    numbers = range(1, _heavy_threads(len(ascending)) + 1)
    return max(reversed(numbers), key=lambda number: number * ascending[-number])


def _seating(audio: Core, heavy: Core, rest: Core, *, threads: int, decoding: int) -> dict[Role, Seat]:
    cpus: dict[Role, Core] = {"audio": audio, "asr": heavy, "slm": heavy, "tts": heavy, "turn": rest, "other": rest}
    number: dict[Role, int] = {"asr": threads, "slm": decoding, "tts": threads, "other": len(rest)}
    return {
        role: Seat(cpus[role], number.get(role, 1), nice=_NICE[role], realtime=role == "audio")
        for role in get_args(Role)
    }
