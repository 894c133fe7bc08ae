"""Whatever happens to the daemon, the box is as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.cpu.boxes import NAMES, tree
from tests.cpu.contents import contents, everywhere, khz
from tests.cpu.scripted_kernel import ScriptedKernel
from voicebot.cpu.actuators import Actuators
from voicebot.cpu.restore import main
from voicebot.cpu.scheduling import Scheduler
from voicebot.cpu.topology import read_box

REPOSITORY: Final = Path(__file__).parents[2]
DEATHS: Final = [
    ("fsync", 1),
    ("replace", 1),  # the journal is written, but not in its place
    ("write", 1),  # the journal is there; the first file is open, and truncated where that means something
    ("write", 2),
    ("write", 4),
    ("replace", 2),  # all is written, but not what the kernel made of it
    ("replace", 4),
    ("write", 30),
]


def python(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "function", "nth"),
    [("rk3588", *death) for death in DEATHS]
    + [(name, "write", 5) for name in sorted({*NAMES} - {"nothing", "rk3588"})],
)
def test_killed_in_the_middle(name: str, function: str, nth: int, tmp_path: Path) -> None:
    root, journal = tree(name, tmp_path), tmp_path / "run/cpu.json"
    before = contents(root)
    killed = python("-m", "tests.cpu.dies", root, journal, function, str(nth))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert main(["--root", str(root), str(journal)]) == 0
    assert contents(root) == before
    assert not journal.exists()


def test_by_the_units_own_command(tmp_path: Path) -> None:
    root, journal = tree("rk3588", tmp_path), tmp_path / "run/cpu.json"
    before = contents(root)
    killed = python("-m", "tests.cpu.dies", root, journal, "write", "5")
    assert killed.returncode == -signal.SIGKILL
    assert contents(root) != before
    for _ in range(2):  # the second one has nothing to do
        done = python("-m", "voicebot.cpu.restore", "--root", root, journal)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert contents(root) == before


def test_by_the_next_start(tmp_path: Path) -> None:
    root, journal = tree("x86-intel-pstate", tmp_path), tmp_path / "cpu.json"
    before = contents(root)
    assert python("-m", "tests.cpu.dies", root, journal, "write", "20").returncode == -signal.SIGKILL
    assert contents(root) != before
    Actuators(read_box(root), root, journal, Scheduler(ScriptedKernel()))
    assert contents(root) == before


def test_not_while_the_daemon_runs(tmp_path: Path) -> None:
    root, journal = tree("rk3588", tmp_path), tmp_path / "cpu.json"
    actuators = Actuators(read_box(root), root, journal, Scheduler(ScriptedKernel()))
    actuators.apply(everywhere(read_box(root), 1_416_000, 1_608_000), {})
    assert main(["--root", str(root), str(journal)]) == 0
    assert khz(root, "policy4") == (1_416_000, 1_608_000)
    actuators.restore()


def test_nothing_to_do_makes_no_directory(tmp_path: Path) -> None:
    assert main(["--root", str(tmp_path), str(tmp_path / "run/cpu.json")]) == 0
    assert list(tmp_path.iterdir()) == []


def test_it_starts_without_anything_heavy() -> None:
    done = python("-c", "import sys, voicebot.cpu.restore; print(*sys.modules)")
    assert {"voicebot.cpu.restore", "json"} <= set(done.stdout.split())
    assert {"numpy", "pydantic", "asyncio", "ctypes", "rich", "typer"}.isdisjoint(done.stdout.split())
