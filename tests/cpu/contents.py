"""What a tree's files hold, and a watch over what is written to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from voicebot.cpu.box import Box
from voicebot.cpu.kernel_files import KernelFiles
from voicebot.cpu.limits import CEILING, FLOOR, file_of
from voicebot.cpu.placement import Placement, Speed


def contents(root: Path) -> dict[str, bytes]:
    """Return all files of /sys. What is written to a device is not kept by one: /dev is left out."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("sys/**/*") if path.is_file()}


def khz(root: Path, cluster: str) -> tuple[int, int]:
    """Return the limits of a cluster."""
    floor, ceiling = (_number(root / file_of(cluster, kind)) for kind in (FLOOR, CEILING))
    return floor, ceiling


def _number(file: Path) -> int:
    while not (text := file.read_text()):  # unlike the kernel's, a plain file is empty while it is being written
        pass
    return int(text)


@contextmanager
def watched_writes() -> Iterator[list[tuple[str, str]]]:
    """Collect what is written, and see after every single write that no floor is above its ceiling."""
    written: list[tuple[str, str]] = []
    write = KernelFiles.write

    def watched(files: KernelFiles, name: str, content: str) -> bool:
        done = write(files, name, content)
        if done:
            written.append((name, content))
        cluster = Path(name).parent.name
        if (files.root / file_of(cluster, FLOOR)).exists() and (files.root / file_of(cluster, CEILING)).exists():
            floor, ceiling = khz(files.root, cluster)
            assert floor <= ceiling, name
        return done

    with patch.object(KernelFiles, "write", watched):
        yield written


def everywhere(box: Box, floor_khz: int, ceiling_khz: int, preference: str = "") -> Placement:
    """Return a placement with the same speed for all clusters."""
    speed = Speed(floor_khz, ceiling_khz, preference)
    return Placement(speeds={cluster.name: speed for cluster in box.clusters})
