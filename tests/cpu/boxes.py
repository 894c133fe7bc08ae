"""The trees of real boxes in fixtures/sysfs, for tests that read or write them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

TREES: Final = Path(__file__).parents[2] / "fixtures" / "sysfs"
NAMES: Final = tuple(sorted(path.name for path in TREES.iterdir() if path.is_dir()))


def tree(name: str, tmp_path: Path) -> Path:
    """Return a copy of a box's tree that may be written: the root that everything in cpu/ is handed."""
    return Path(shutil.copytree(TREES / name, tmp_path / name, ignore=shutil.ignore_patterns("NOTE.md")))
