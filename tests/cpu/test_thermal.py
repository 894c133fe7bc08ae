"""The box's temperature, from a tree like /sys."""

from __future__ import annotations

from pathlib import Path

from voicebot.cpu.thermal import Thermometer, hottest_c


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 0.0

    def now_s(self) -> float:
        return self.s

    async def sleep_s(self, duration_s: float) -> None:
        self.s += duration_s


def zone(root: Path, number: int, content: str) -> None:
    folder = root / f"class/thermal/thermal_zone{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "temp").write_text(content)


def test_the_hottest_zone_counts(tmp_path: Path) -> None:
    assert hottest_c(tmp_path) is None
    zone(tmp_path, 0, "41500\n")
    zone(tmp_path, 1, "73250\n")
    zone(tmp_path, 2, "")
    (tmp_path / "class/thermal/thermal_zone3/temp").mkdir(parents=True)
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
