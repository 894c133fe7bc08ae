"""The operating points that a benchmark runs at, on the tree of a real box."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cpu.boxes import tree
from tests.cpu.contents import contents, khz
from voicebot.bench.speeds import Speeds
from voicebot.cpu.actuators import Actuators
from voicebot.cpu.placement import Placement, Speed
from voicebot.cpu.topology import read_box

ALL = range(8)


@pytest.fixture
def rk3588(tmp_path: Path) -> Path:
    return tree("rk3588", tmp_path)


def speeds_of(root: Path, tmp_path: Path) -> Speeds:
    return Speeds(ALL, root, tmp_path / "run/cpu.json")


def test_the_fastest_cores_come_first(rk3588: Path, tmp_path: Path) -> None:
    speeds = speeds_of(rk3588, tmp_path)
    assert set(speeds.cores[:4]) == {4, 5, 6, 7}
    assert set(speeds.cores[4:]) == {0, 1, 2, 3}


def test_each_cluster_that_is_used_has_its_highest_its_lowest_and_a_middle_frequency(
    rk3588: Path, tmp_path: Path
) -> None:
    points = speeds_of(rk3588, tmp_path).points((6, 0))
    assert [sorted(point) for point in points] == [["policy0", "policy6"]] * 3
    assert [point["policy0"] for point in points] == [1_800_000, 1_008_000, 1_416_000]


def test_frequencies_are_set_and_everything_is_put_back(rk3588: Path, tmp_path: Path) -> None:
    before, speeds = contents(rk3588), speeds_of(rk3588, tmp_path)
    assert (speeds.settable, speeds.ghz) == (True, 1.0)
    for point in speeds.points((0, 6)):
        assert speeds.set(point)
        assert {name: khz(rk3588, name) for name in point} == {name: (wanted, wanted) for name, wanted in point.items()}
        assert speeds.ghz == min(point.values()) / 1e6
    speeds.restore()
    assert contents(rk3588) == before


def test_a_frequency_that_somebody_else_owns_does_not_hold(rk3588: Path, tmp_path: Path) -> None:
    daemon = Actuators(read_box(rk3588), rk3588, tmp_path / "run/cpu.json")
    daemon.apply(Placement(speeds={"policy0": Speed(1_200_000, 1_200_000)}), {})
    speeds = speeds_of(rk3588, tmp_path)
    assert not speeds.set({"policy0": 1_800_000})
    assert khz(rk3588, "policy0") == (1_200_000, 1_200_000)
    daemon.restore()


def test_a_box_without_frequencies_is_measured_as_it_is(tmp_path: Path) -> None:
    speeds = Speeds({0, 1}, tree("nothing", tmp_path), tmp_path / "run/cpu.json")
    assert not speeds.settable
    assert speeds.points((0,)) == [{}]
    assert speeds.set({})
    assert speeds.ghz == 1.0
