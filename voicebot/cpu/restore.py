"""`python -m voicebot.cpu.restore [--root DIR] [JOURNAL]`: puts back what a daemon that crashed has left changed.

For the unit's ExecStopPost. The exit code is 0, also when there was nothing to do.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from voicebot.cpu.changes import Changes
from voicebot.cpu.journal import default_path
from voicebot.cpu.kernel_files import KernelFiles


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it, and return the exit code. While the daemon runs, nothing is touched."""
    parser = argparse.ArgumentParser(prog="python -m voicebot.cpu.restore", description="Put the processor back.")
    parser.add_argument("--root", type=Path, default=Path("/"), help="the tree that the kernel's files are in")
    parser.add_argument("journal", type=Path, nargs="?", help="what the daemon noted; by default where it notes it")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    journal: Path = options.journal or default_path()
    if journal.exists():
        Changes(KernelFiles(options.root), journal).put_back()
    return 0


if __name__ == "__main__":
    sys.exit(main())
