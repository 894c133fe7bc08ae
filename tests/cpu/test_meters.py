"""Which meters together say what a box takes."""

from __future__ import annotations

from pathlib import Path

from tests.cpu.boxes import TREES, tree
from voicebot.cpu.box import Meter
from voicebot.cpu.meters import find_meters


def chip(root: Path, number: int, name: str, **files: object) -> None:
    folder = root / f"sys/class/hwmon/hwmon{number}"
    folder.mkdir(parents=True)
    for file, content in {"name": name, **files}.items():
        (folder / file).write_text(f"{content}\n")


def test_packages_count_and_their_parts_do_not() -> None:
    assert find_meters(TREES / "x86-intel-pstate") == (
        Meter("rapl", "package-0", "sys/class/powercap/intel-rapl:0/energy_uj", wraps_uj=262_143_328_850),
    )


def test_a_rail_that_feeds_the_others_counts_alone(tmp_path: Path) -> None:
    root = tree("jetson-orin", tmp_path)
    assert find_meters(root) == (Meter("hwmon", "VDD_IN", "sys/class/hwmon/hwmon1/in1_input"),)
    (root / "sys/class/hwmon/hwmon1/in1_label").write_text("VDD_GPU_SOC\n")
    assert [meter.name for meter in find_meters(root)] == ["VDD_GPU_SOC", "VDD_CPU_GPU_CV", "VDD_SOC"]


def test_a_package_counts_before_any_rail(tmp_path: Path) -> None:
    root = tree("x86-amd-pstate", tmp_path)
    chip(root, 7, "ina226", power1_input=6_000_000)
    assert [meter.name for meter in find_meters(root)] == ["package-0"]


def test_power_is_taken_where_a_chip_has_it(tmp_path: Path) -> None:
    chip(tmp_path, 3, "ina226", in1_input=12000, in1_label="VIN", curr1_input=500, power1_input=6_000_000)
    chip(tmp_path, 4, "ina238", power1_input=1_000_000, power1_label="fan")
    assert find_meters(tmp_path) == (
        Meter("hwmon", "ina226", "sys/class/hwmon/hwmon3/power1_input"),
        Meter("hwmon", "fan", "sys/class/hwmon/hwmon4/power1_input"),
    )


def test_what_meters_something_else_does_not_count(tmp_path: Path) -> None:
    chip(tmp_path, 0, "amdgpu", power1_input=30_000_000)
    chip(tmp_path, 1, "BAT0", in0_input=12000)
    chip(tmp_path, 2, "ucsi_source_psy_USBC000:001", in0_input=5000, curr1_input=500)
    chip(tmp_path, 3, "nct6775", in1_input=1200, in1_label="Vcore")
    chip(tmp_path, 4, "ina3221", in1_input="off", in1_label="VDD", curr1_input=1)
    assert find_meters(tmp_path) == ()
