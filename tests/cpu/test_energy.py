"""Energy: counted by meters, integrated from power, or reckoned from how busy the processors were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cpu.boxes import TREES, tree
from tests.cpu.test_thermal import Hands
from voicebot.cpu.box import Meter
from voicebot.cpu.energy import Energy, EnergyEstimate, EnergyMeter, energy_source
from voicebot.cpu.topology import read_box

PACKAGE = "sys/class/powercap/intel-rapl:0/energy_uj"
RANGE_UJ = 262_143_328_850
RAIL = "sys/class/hwmon/hwmon1"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Scene:
    """A box whose files and clock are set by hand."""

    def __init__(self, name: str, tmp_path: Path) -> None:
        self.root = tree(name, tmp_path)
        self.clock = Hands()
        self.box = read_box(self.root)

    def meter(self) -> EnergyMeter:
        return EnergyMeter(self.box.meters, self.clock, self.root)

    def write(self, name: str, value: object) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")

    def busy(self, **seconds: float) -> None:
        """Write /proc/stat, half of the time as user's and half as system's; idle, iowait and steal do not count."""
        lines = ["cpu  1 2 3 4 5 6 7 8 9 10"]
        for cpu in self.box.cpus:
            ticks = round(seconds.get(f"cpu{cpu}", 0.0) * TICKS_PER_S)
            lines.append(f"cpu{cpu} {ticks // 2} 0 {ticks - ticks // 2} 99999 777 0 0 555 0 0")
        self.write("proc/stat", "\n".join([*lines, "intr 1 2 3", "ctxt 4"]))


def test_a_counter_counts_from_where_it_stood(tmp_path: Path) -> None:
    scene = Scene("x86-intel-pstate", tmp_path)
    scene.write(PACKAGE, 1_000_000)
    meter = scene.meter()
    assert meter.works
    assert meter.read() == Energy(0.0, measured=True)
    scene.clock.s = 2.0
    scene.write(PACKAGE, 31_000_000)
    first = meter.read()
    assert first == Energy(30.0, measured=True)
    scene.clock.s = 3.0
    scene.write(PACKAGE, 36_500_000)
    assert meter.read().since(first) == Energy(5.5, measured=True)


def test_the_parts_of_a_package_do_not_count_again(tmp_path: Path) -> None:
    scene = Scene("x86-intel-pstate", tmp_path)
    meter = scene.meter()
    for domain in ("0:0", "0:1", "0:2", "1"):
        scene.write(f"sys/class/powercap/intel-rapl:{domain}/energy_uj", RANGE_UJ - 1)
    scene.write("sys/class/powercap/intel-rapl-mmio:0/energy_uj", RANGE_UJ - 1)
    scene.clock.s = 1000.0
    assert meter.read().joules == 0.0


def test_two_packages_are_added(tmp_path: Path) -> None:
    scene = Scene("x86-intel-pstate", tmp_path)
    folder = "sys/class/powercap/intel-rapl:2"
    scene.write(f"{folder}/name", "package-1")
    scene.write(f"{folder}/max_energy_range_uj", RANGE_UJ)
    scene.write(f"{folder}/energy_uj", 0)
    scene.write(PACKAGE, 0)
    scene.box = read_box(scene.root)
    meter = scene.meter()
    scene.clock.s = 1.0
    scene.write(f"{folder}/energy_uj", 4_000_000)
    scene.write(PACKAGE, 7_000_000)
    assert meter.read().joules == pytest.approx(11.0)


def test_a_full_counter_starts_again_at_zero(tmp_path: Path) -> None:
    scene = Scene("x86-intel-pstate", tmp_path)
    scene.write(PACKAGE, RANGE_UJ - 2_000_000)
    meter = scene.meter()
    scene.clock.s = 1.0
    scene.write(PACKAGE, 3_000_000)
    assert meter.read().joules == pytest.approx(5.0)


def test_a_counter_that_was_reset_is_not_taken_for_full(tmp_path: Path) -> None:
    scene = Scene("x86-intel-pstate", tmp_path)
    scene.write(PACKAGE, 9_000_000)
    meter = scene.meter()
    scene.clock.s = 1.0
    scene.write(PACKAGE, 1_000_000)  # full, it would have counted 262 kJ in a second
    assert meter.read().joules == 0.0
    scene.clock.s = 2.0
    scene.write(PACKAGE, 2_000_000)
    assert meter.read().joules == pytest.approx(1.0)


def test_a_counter_of_unknown_range_counts_up_to_its_end(tmp_path: Path) -> None:
    scene = Scene("x86-amd-pstate", tmp_path)
    (scene.root / "sys/class/powercap/intel-rapl:0/max_energy_range_uj").unlink()
    scene.box = read_box(scene.root)
    scene.write(PACKAGE, 5_000_000)
    meter = scene.meter()
    scene.clock.s = 1.0
    scene.write(PACKAGE, 0)
    assert meter.read().joules == 0.0


def test_what_passed_unread_is_counted_afterwards(tmp_path: Path) -> None:
    scene = Scene("x86-intel-pstate", tmp_path)
    scene.write(PACKAGE, 0)
    meter = scene.meter()
    scene.clock.s = 1.0
    scene.write(PACKAGE, "not yet")
    assert meter.read().joules == 0.0
    scene.clock.s = 2.0
    scene.write(PACKAGE, 20_000_000)
    assert meter.read().joules == pytest.approx(20.0)


def test_power_is_integrated_between_readings(tmp_path: Path) -> None:
    scene = Scene("jetson-orin", tmp_path)
    scene.write(f"{RAIL}/in1_input", 5000)
    scene.write(f"{RAIL}/curr1_input", 1000)  # 5 W
    meter = scene.meter()
    scene.clock.s = 2.0
    assert meter.read() == Energy(10.0, measured=True)
    scene.write(f"{RAIL}/curr1_input", 3000)  # from 5 W to 15 W
    scene.clock.s = 3.0
    assert meter.read().joules == pytest.approx(20.0)
    scene.write(f"{RAIL}/curr1_input", -8)  # a shunt without current
    scene.clock.s = 4.0
    assert meter.read().joules == pytest.approx(27.5)


def test_a_chip_that_multiplies_by_itself(tmp_path: Path) -> None:
    scene = Scene("nothing", tmp_path)
    scene.write("sys/class/hwmon/hwmon3/name", "ina226")
    scene.write("sys/class/hwmon/hwmon3/in1_input", 12000)
    scene.write("sys/class/hwmon/hwmon3/curr1_input", 500)
    scene.write("sys/class/hwmon/hwmon3/power1_input", 6_000_000)
    scene.box = read_box(scene.root)
    assert scene.box.meters == (Meter("hwmon", "ina226", "sys/class/hwmon/hwmon3/power1_input"),)
    meter = scene.meter()
    scene.clock.s = 10.0
    assert meter.read().joules == pytest.approx(60.0)


def test_a_power_reading_that_fails_is_bridged(tmp_path: Path) -> None:
    scene = Scene("jetson-orin", tmp_path)
    scene.write(f"{RAIL}/in1_input", 5000)
    scene.write(f"{RAIL}/curr1_input", 1000)
    meter = scene.meter()
    for s, current in ((1.0, ""), (2.0, "nonsense"), (3.0, 10**12), (4.0, 1000)):
        scene.clock.s = s
        scene.write(f"{RAIL}/curr1_input", current)
        meter.read()
    assert meter.read().joules == pytest.approx(20.0)


def test_a_clock_that_goes_back_takes_no_energy_back(tmp_path: Path) -> None:
    scene = Scene("jetson-orin", tmp_path)
    scene.clock.s = 100.0
    meter = scene.meter()
    scene.clock.s = 50.0
    assert meter.read().joules == 0.0
    estimate = EnergyEstimate(scene.box, scene.clock, scene.root)
    scene.clock.s = 10.0
    assert estimate.read().joules == 0.0


def test_an_idle_rk3588_takes_its_static_power(tmp_path: Path) -> None:
    scene = Scene("rk3588", tmp_path)
    scene.busy()
    source = energy_source(scene.box, scene.clock, scene.root)
    scene.clock.s = 10.0
    energy = source.read()
    assert energy.joules == pytest.approx(5.0)
    assert not energy.measured


def test_two_big_cores_for_a_second(tmp_path: Path) -> None:
    scene = Scene("rk3588", tmp_path)
    scene.busy(cpu4=100.0)
    source = energy_source(scene.box, scene.clock, scene.root)
    scene.write("sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq", 2_400_000)
    scene.busy(cpu4=101.0, cpu5=1.0)
    scene.clock.s = 2.0
    # 416 uW/MHz/V2 * 2400 MHz * 1 V^2 = 0.9984 W each for a second, and half a watt for two.
    assert source.read().joules == pytest.approx(2 * 0.9984 + 1.0)


def test_an_unknown_frequency_is_taken_for_the_highest(tmp_path: Path) -> None:
    scene = Scene("rk3588", tmp_path)
    scene.busy()
    source = energy_source(scene.box, scene.clock, scene.root)
    (scene.root / "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq").unlink()
    scene.busy(cpu0=1.0)
    scene.clock.s = 1.0
    assert source.read().joules == pytest.approx(228e-6 * 1800 * 0.95**2 + 0.5)


def test_nobody_is_busier_than_his_cores(tmp_path: Path) -> None:
    scene = Scene("rk3588", tmp_path)
    scene.busy()
    source = energy_source(scene.box, scene.clock, scene.root)
    scene.busy(cpu0=1000.0)
    scene.clock.s = 1.0
    most = source.read()
    assert most.joules == pytest.approx(4 * 228e-6 * 1008 * 0.675**2 + 0.5)
    scene.busy()  # counters that were set back
    scene.clock.s = 2.0
    assert source.read().since(most).joules == pytest.approx(0.5)


def test_a_meter_without_permission_makes_way_for_the_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene("x86-intel-pstate", tmp_path)
    (scene.root / PACKAGE).unlink()
    (scene.root / PACKAGE).mkdir()  # which nobody can read as a file, the superuser neither
    scene.box = read_box(scene.root)
    assert len(scene.box.meters) == 1  # so that somebody can be told what to allow
    source = energy_source(scene.box, scene.clock, scene.root)
    assert not source.read().measured
    assert len(caplog.records) == 1
    assert PACKAGE in caplog.text


def test_a_sum_of_both_kinds_is_not_measured() -> None:
    assert Energy(5.0, measured=True).since(Energy(2.0, measured=False)) == Energy(3.0, measured=False)


@pytest.mark.parametrize("name", ["x86-intel-pstate", "x86-amd-pstate", "jetson-orin"])
def test_boxes_with_a_meter_are_measured(name: str) -> None:
    assert energy_source(read_box(TREES / name), Hands(), TREES / name).read().measured


@pytest.mark.parametrize("name", ["rk3588", "nothing"])
def test_boxes_without_one_are_reckoned(name: str, caplog: pytest.LogCaptureFixture) -> None:
    clock = Hands()
    source = energy_source(read_box(TREES / name), clock, TREES / name)
    clock.s = 1.0
    assert source.read().joules > 0
    assert not source.read().measured
    assert caplog.records == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(contents=st.lists(st.binary(max_size=60) | st.integers().map(lambda number: b"%d\n" % number), max_size=6))
def test_no_content_makes_energy_negative_or_raises(contents: list[bytes], tmp_path: Path) -> None:
    for name, file in (("x86-amd-pstate", PACKAGE), ("jetson-orin", f"{RAIL}/curr1_input"), ("rk3588", "proc/stat")):
        root = tmp_path / name
        if not root.exists():
            tree(name, tmp_path)
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        clock = Hands()
        source = energy_source(read_box(root), clock, root)
        latest = source.read().joules
        for content in contents:
            (root / file).write_bytes(content)
            clock.s += 1.0
            joules = source.read().joules
            assert latest <= joules <= latest + 1000 * (len(contents) + 2)
            latest = joules
