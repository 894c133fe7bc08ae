"""The box's temperature, from trees like the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cpu.boxes import TREES
from voicebot.cpu.thermal import Thermometer, find_zones, hottest_c, temperatures_c


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 0.0

    def now_s(self) -> float:
        return self.s

    async def sleep_s(self, duration_s: float) -> None:
        self.s += duration_s


def zone(root: Path, number: int, content: str) -> None:
    folder = root / f"sys/class/thermal/thermal_zone{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "type").write_text(f"zone-{number}\n")
    (folder / "temp").write_text(content)


def test_the_hottest_zone_counts(tmp_path: Path) -> None:
    assert hottest_c(tmp_path) is None
    zone(tmp_path, 0, "41500\n")
    zone(tmp_path, 1, "73250\n")
    zone(tmp_path, 2, "")
    (tmp_path / "sys/class/thermal/thermal_zone3/temp").mkdir(parents=True)
    assert hottest_c(tmp_path) == 73.25


async def test_it_is_read_every_few_seconds(tmp_path: Path) -> None:
    clock = Hands()
    thermometer = Thermometer(clock, tmp_path)
    assert await thermometer.read_c() is None
    zone(tmp_path, 0, "50000")
    clock.s = 4.9
    assert await thermometer.read_c() is None
    clock.s = 5.0
    assert await thermometer.read_c() == 50.0
    zone(tmp_path, 0, "60000")
    clock.s = 10.0
    assert await thermometer.read_c() == 60.0


@pytest.mark.parametrize("nonsense", ["-274000", "-256000", "0", "127000", "255000", "warm", "", "4.2e4", "\x00\xff"])
def test_nonsense_is_left_out_and_told_once(nonsense: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    zone(tmp_path, 0, nonsense)
    zone(tmp_path, 1, "41000\n")
    zones = find_zones(tmp_path)
    for _ in range(3):
        assert temperatures_c(tmp_path, zones) == {"zone-1": 41.0}
        assert hottest_c(tmp_path) == 41.0
    assert len(caplog.records) == 1
    zone(tmp_path, 0, "126900\n")
    assert temperatures_c(tmp_path, zones) == {"zone-0": 126.9, "zone-1": 41.0}
    zone(tmp_path, 0, nonsense)
    assert temperatures_c(tmp_path, zones) == {"zone-1": 41.0}
    assert len(caplog.records) == 1


def test_frost_is_a_temperature(tmp_path: Path) -> None:
    zone(tmp_path, 0, "-12000\n")
    assert hottest_c(tmp_path) == -12.0


def test_a_sensor_that_would_block_is_left_out(tmp_path: Path) -> None:
    zone(tmp_path, 0, "")
    pipe = tmp_path / "sys/class/thermal/thermal_zone0/temp"
    pipe.unlink()
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR)  # with a writer, an empty pipe answers EAGAIN, as a Jetson's sleeping sensors do
    try:
        assert hottest_c(tmp_path) is None
    finally:
        os.close(held)


def test_a_zone_that_is_gone_is_left_out(tmp_path: Path) -> None:
    zone(tmp_path, 0, "40000\n")
    zone(tmp_path, 1, "50000\n")
    zones = find_zones(tmp_path)
    (tmp_path / "sys/class/thermal/thermal_zone1/temp").unlink()
    assert temperatures_c(tmp_path, zones) == {"zone-0": 40.0}


@pytest.mark.parametrize(
    ("name", "hottest"),
    [
        ("rk3588", 45.307),
        ("x86-intel-pstate", 46.0),
        ("x86-amd-pstate", 44.5),
        ("jetson-orin", 48.312),
        ("nothing", None),
    ],
)
def test_every_box_has_its_temperature(name: str, hottest: float | None) -> None:
    assert hottest_c(TREES / name) == hottest


def test_a_part_that_is_switched_off_has_none() -> None:
    root = TREES / "jetson-orin"
    assert set(temperatures_c(root, find_zones(root))) == {"cpu-thermal", "gpu-thermal", "soc0-thermal", "tj-thermal"}
