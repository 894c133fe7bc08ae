"""Placements are carried out on trees of real boxes, and undone."""

from __future__ import annotations

import errno
import logging
import os
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cpu.boxes import NAMES, tree
from tests.cpu.contents import contents, everywhere, khz, watched_writes
from tests.cpu.scripted_kernel import ScriptedKernel
from voicebot.cpu.actuators import Actuators, Controls
from voicebot.cpu.box import Box
from voicebot.cpu.limits import CEILING, FLOOR, GOVERNOR, PREFERENCE, file_of
from voicebot.cpu.placement import Placement, Role, Seat, Speed
from voicebot.cpu.scheduling import Scheduler, threads_of
from voicebot.cpu.topology import read_box

GRANTS: Final = Path(__file__).parents[2] / "systemd/voicebot-cpu.conf"
FREQUENCIES_KHZ: Final = st.integers(-1, 6_000_000)
SPEEDS: Final = st.builds(
    Speed,
    FREQUENCIES_KHZ,
    FREQUENCIES_KHZ,
    st.sampled_from(["", "performance", "balance_power", "power", "no such preference"]),
)
SEATS: Final = st.builds(
    Seat,
    cpus=st.sets(st.integers(0, 7), min_size=1).map(tuple),
    threads=st.integers(1, 4),
    nice=st.integers(-20, 19),
    realtime=st.booleans(),
    clamp_min=st.integers(0, 1024),
    clamp_max=st.integers(0, 1024),
)


def placements(box: Box) -> st.SearchStrategy[list[Placement]]:
    names = [cluster.name for cluster in box.clusters]
    placement = st.builds(
        Placement,
        seats=st.dictionaries(st.sampled_from(["audio", "slm", "other"]), SEATS),
        speeds=st.dictionaries(st.sampled_from([*names, "no such cluster"]), SPEEDS),
        wake_up_us=st.none() | st.integers(0, 2000),
    )
    return st.lists(placement, min_size=1, max_size=4)


def actuators(root: Path, kernel: ScriptedKernel | None = None) -> Actuators:
    return Actuators(read_box(root), root, root.parent / "cpu.json", Scheduler(kernel or ScriptedKernel()))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(st.data())
def test_any_placements_and_back(name: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder, watched_writes(), patch("os.fsync"):
        root, kernel = tree(name, Path(folder)), ScriptedKernel()
        box, before = read_box(root), contents(root)
        actuated = actuators(root, kernel)
        for placement in data.draw(placements(box)):
            actuated.apply(placement, {"audio": [os.getpid()], "slm": [], "other": [-1]})
            for cluster in box.clusters:
                if cluster.points and cluster.name in placement.speeds:
                    limits_khz = khz(root, cluster.name)
                    assert all(cluster.lowest_khz <= limit <= cluster.highest_khz for limit in limits_khz)
        actuated.restore()
        assert contents(root) == before
        assert not (root.parent / "cpu.json").exists()
        for tid in threads_of(os.getpid()):  # one that was seen to end need not be put back
            assert (kernel.affinity(tid), kernel.nice(tid)) == ({*range(8)}, 0)
            assert (kernel.is_realtime(tid), kernel.clamps(tid)) == (False, (0, 1024))


def test_limits_are_operating_points(tmp_path: Path) -> None:
    root = tree("rk3588", tmp_path)
    actuated = actuators(root)
    actuated.apply(Placement(speeds={"policy4": Speed(1_300_000, 1_900_000)}), {})
    assert khz(root, "policy4") == (1_416_000, 1_800_000)
    actuated.apply(Placement(speeds={"policy4": Speed(2_300_000, 1_500_000)}), {})
    assert khz(root, "policy4") == (1_416_000, 1_416_000)
    assert khz(root, "policy0") == khz(tree("rk3588", tmp_path / "again"), "policy0")


def test_without_operating_points_any_frequency_in_steps(tmp_path: Path) -> None:
    root = tree("x86-intel-pstate", tmp_path)
    actuators(root).apply(everywhere(read_box(root), 1_234_567, 2_345_678, "power"), {})
    assert khz(root, "policy0") == (1_300_000, 2_300_000)
    assert (root / file_of("policy0", PREFERENCE)).read_text() == "power\n"


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    root = tree("rk3588", tmp_path)
    actuated, box = actuators(root), read_box(root)
    with watched_writes() as written:
        actuated.apply(everywhere(box, 0, 9_000_000), {})
        assert written == []
        actuated.apply(everywhere(box, 0, 1_416_000), {})
        assert {Path(name).name for name, _ in written} == {CEILING}
        number = len(written)
        actuated.apply(everywhere(box, 0, 1_416_000), {})
        assert len(written) == number


def test_the_governor_stays_and_is_told(tmp_path: Path) -> None:
    root = tree("rk3588", tmp_path)
    actuated = actuators(root)
    with watched_writes() as written:
        actuated.apply(everywhere(read_box(root), 1_416_000, 1_608_000), {})
    assert GOVERNOR not in {Path(name).name for name, _ in written}
    (root / file_of("policy4", GOVERNOR)).write_text("ondemand\n")
    assert actuated.governors["policy4"] == "ondemand"
    assert actuators(tree("nothing", tmp_path)).governors == {}


def test_a_missing_file_is_one_line_and_the_rest_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tree("rk3588", tmp_path)
    box, actuated = read_box(root), actuators(root)
    for name in ("policy0", "policy4"):
        (root / file_of(name, FLOOR)).unlink()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        for ceiling_khz in (1_416_000, 1_800_000, 1_416_000):
            actuated.apply(everywhere(box, 1_300_000, ceiling_khz), {})
    assert [record.getMessage().split()[0] for record in caplog.records] == [FLOOR]
    assert khz(root, "policy6") == (1_416_000, 1_416_000)
    assert (root / file_of("policy4", CEILING)).read_text() == "1416000\n"
    assert not (root / file_of("policy4", FLOOR)).exists()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_read_only_files_are_a_line_of_each_kind(code: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, kernel = tree("x86-amd-pstate", tmp_path), ScriptedKernel()
    before, box, actuated = contents(root), read_box(root), actuators(root, kernel)
    opened = os.open

    def read_only(path: Path, flags: int, *more: int) -> int:
        if flags & os.O_WRONLY and root in Path(path).parents:
            raise OSError(code, os.strerror(code))
        return opened(path, flags, *more)

    with caplog.at_level(logging.INFO), patch("os.open", read_only):
        for floor_khz in (1_500_000, 2_000_000, 1_500_000):
            fast = everywhere(box, floor_khz, 2_500_000, "power")
            actuated.apply(Placement({"slm": Seat((1,), 1)}, fast.speeds, 100), {"slm": [os.getpid()]})
    assert sorted(record.getMessage().split()[0] for record in caplog.records) == sorted(
        [FLOOR, CEILING, PREFERENCE, "cpu_dma_latency"]
    )
    assert contents(root) == before
    assert kernel.affinity(os.getpid()) == {1}
    possible = actuated.possible
    assert (possible.frequency, possible.preference, possible.wake_up) == (False, False, False)
    assert possible.affinity
    actuated.restore()


@pytest.mark.parametrize(
    ("name", "frequency", "preference", "wake_up"),
    [("nothing", False, False, False), ("rk3588", True, False, True), ("x86-intel-pstate", True, True, True)],
)
def test_what_is_possible(name: str, frequency: bool, preference: bool, wake_up: bool, tmp_path: Path) -> None:
    refused = ScriptedKernel(has_clamps=False, refusals={"set_affinity": errno.EPERM})
    assert actuators(tree(name, tmp_path), refused).possible == Controls(
        frequency=frequency,
        preference=preference,
        clamps=False,
        affinity=False,
        realtime=True,
        nice=-20,
        wake_up=wake_up,
    )


class Modest(ScriptedKernel):
    """A kernel that allows a niceness of -5."""

    def set_nice(self, tid: int, nice: int) -> None:
        if nice < -5:
            raise PermissionError(errno.EACCES, "")
        super().set_nice(tid, nice)


def test_the_nearest_niceness_that_is_allowed(tmp_path: Path) -> None:
    kernel = Modest()
    actuated = actuators(tree("nothing", tmp_path), kernel)
    actuated.apply(Placement({"audio": Seat((0,), 1, nice=-11)}), {"audio": [os.getpid()]})
    assert kernel.nice(os.getpid()) == -5


def put(root: Path, name: str, content: str) -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(content)
    return root / name


@pytest.mark.parametrize(
    ("clamps", "expected"),
    [
        ([(256, 512), (0, 300)], ("0.00", "50.00")),
        ([(256, 512), (128, 1024)], ("12.50", "max")),
        ([(0, 1024)], ("0.00", "max")),
    ],
)
def test_the_services_cgroup_spans_its_seats(
    clamps: Sequence[tuple[int, int]], expected: tuple[str, str], tmp_path: Path
) -> None:
    root = tree("rk3588", tmp_path)
    put(root, "proc/self/cgroup", "9:cpu:/\n0::/system.slice/voicebot.service\n")
    files = [
        put(root, f"sys/fs/cgroup/system.slice/voicebot.service/cpu.uclamp.{kind}", content)
        for kind, content in (("min", "0.00\n"), ("max", "max\n"))
    ]
    before, actuated = contents(root), actuators(root)
    roles: tuple[Role, ...] = ("slm", "tts")
    seats = {
        role: Seat((0,), 1, clamp_min=low, clamp_max=high) for role, (low, high) in zip(roles, clamps, strict=False)
    }
    actuated.apply(Placement(seats), {})
    assert tuple(file.read_text().strip() for file in files) == expected
    actuated.restore()
    assert contents(root) == before


@pytest.mark.parametrize("name", NAMES)
def test_all_that_is_written_is_granted(name: str, tmp_path: Path) -> None:
    root = tree(name, tmp_path)
    lines = [line.split() for line in GRANTS.read_text().splitlines() if not line.startswith("#") and line]
    assert {(line[0], *line[2:5]) for line in lines} == {("z", "0664", "root", "voicebot")}
    with watched_writes() as written:
        actuators(root).apply(everywhere(read_box(root), 1_416_000, 1_800_000, "power"), {})
    assert {path for path, _ in written} == {
        path for path, _ in written if any(fnmatch(f"/{path}", line[1]) for line in lines)
    }
