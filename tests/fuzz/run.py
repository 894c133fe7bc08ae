"""The long mode of the fuzzing; `scripts/fuzz` is its name."""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Final

from tests.fuzz.campaign import MOST_GROWTH_BYTES, Outcome, campaign
from tests.fuzz.parsers import Parsers

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own in it; a disk would be written to a million times


def main() -> int:
    """Run it; returns 1 where something was found."""
    known = argparse.ArgumentParser(
        prog="scripts/fuzz", description="Gives wrong inputs to all parsers of outside input."
    )
    known.add_argument("--inputs", type=int, default=100_000)
    known.add_argument("--seed", type=int, default=0)
    known.add_argument("--only", default="", help="parsers whose name contains this")
    known.add_argument("--keep", type=Path, default=Path("out/fuzz"), help="where inputs that failed are put")
    chosen = known.parse_args()
    logging.disable()  # a damaged file is a line each
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        parsers = Parsers(Path(folder))
        outcome = campaign([one for one in parsers.all if chosen.only in one.name], chosen.inputs, chosen.seed)
        parsers.close()
    sys.stdout.write(_report(outcome))
    for failure in outcome.failures:
        chosen.keep.mkdir(parents=True, exist_ok=True)
        file = chosen.keep / hashlib.sha256(failure.data).hexdigest()[:16]
        file.write_bytes(failure.data)
        sys.stdout.write(f"{failure.parser}: {failure.error}\n  {file}: {failure.data[:100]!r}\n")
    return int(bool(outcome.failures) or outcome.growth_bytes > MOST_GROWTH_BYTES)


def _report(outcome: Outcome) -> str:
    lines = [f"{'parser':20}{'inputs':>10}{'taken':>10}{'refused':>10}{'a second':>10}{'slowest ms':>12}"]
    for name, tally in outcome.tallies.items():
        inputs = tally.taken + tally.refused
        rate = inputs / tally.cpu_s if tally.cpu_s else 0
        lines.append(
            f"{name:20}{inputs:10}{tally.taken:10}{tally.refused:10}{rate:10.0f}{tally.slowest_s * 1000:12.1f}"
        )
    inputs = sum(tally.taken + tally.refused for tally in outcome.tallies.values())
    lines += [
        f"{inputs} inputs in {outcome.wall_s:.0f} s, {len(outcome.failures)} failures",
        f"memory: {outcome.rss_before / 1e6:.1f} MB after a tenth, {outcome.rss_after / 1e6:.1f} MB at the end",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
