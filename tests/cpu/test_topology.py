"""Boxes, read from trees of their kernels' files, whole and damaged."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cpu.boxes import NAMES, TREES, tree
from voicebot.cpu.box import Cluster, Meter, Trip
from voicebot.cpu.topology import read_box

CPU = "sys/devices/system/cpu"
A55_KHZ = (1_008_000, 1_200_000, 1_416_000, 1_608_000, 1_800_000)
A76_KHZ = (1_200_000, 1_416_000, 1_608_000, 1_800_000, 2_016_000, 2_208_000, 2_400_000)


def khz_of(cluster: Cluster) -> tuple[int, ...]:
    return tuple(point.khz for point in cluster.points)


def test_the_rk3588_has_three_clusters_of_two_kinds(caplog: pytest.LogCaptureFixture) -> None:
    box = read_box(TREES / "rk3588")
    little, big, other_big = box.clusters
    assert (little.name, little.cpus, little.capacity) == ("policy0", (0, 1, 2, 3), 397)
    assert (big.name, big.cpus, big.capacity) == ("policy4", (4, 5), 1024)
    assert (other_big.name, other_big.cpus) == ("policy6", (6, 7))
    assert khz_of(little) == A55_KHZ
    assert khz_of(big) == khz_of(other_big) == A76_KHZ
    assert (big.floor_khz, big.ceiling_khz) == (1_200_000, 2_400_000)
    assert big.governor == "schedutil"
    assert big.governors == ("ondemand", "userspace", "performance", "schedutil")
    assert (big.preference, big.preferences) == ("", ())
    assert box.threads_of_core == {cpu: (cpu,) for cpu in range(8)}
    assert [zone.name for zone in box.zones] == [
        "package-thermal",
        "bigcore0-thermal",
        "bigcore2-thermal",
        "littlecore-thermal",
        "center-thermal",
        "gpu-thermal",
        "npu-thermal",
    ]
    assert box.zones[0].trips == (Trip("critical", 115.0),)
    assert box.zones[1].trips == (Trip("passive", 85.0), Trip("critical", 115.0))
    assert box.zones[1].path == "sys/class/thermal/thermal_zone1"
    assert box.meters == ()
    assert box.has_dma_latency
    assert caplog.records == []


def test_intel_threads_share_cores_and_have_no_list_of_frequencies(caplog: pytest.LogCaptureFixture) -> None:
    box = read_box(TREES / "x86-intel-pstate")
    assert [cluster.name for cluster in box.clusters] == [f"policy{cpu}" for cpu in range(8)]
    assert [cluster.cpus for cluster in box.clusters] == [(cpu,) for cpu in range(8)]
    assert {cluster.capacity for cluster in box.clusters} == {1024}
    first = box.clusters[0]
    assert khz_of(first) == tuple(range(400_000, 3_700_000, 100_000))
    assert (first.governor, first.governors) == ("powersave", ("performance", "powersave"))
    assert first.preference == "balance_performance"
    assert first.preferences == ("default", "performance", "balance_performance", "balance_power", "power")
    assert box.threads_of_core[0] == box.threads_of_core[4] == (0, 4)
    assert [(zone.name, zone.trips) for zone in box.zones] == [
        ("acpitz", (Trip("critical", 119.0),)),
        ("x86_pkg_temp", ()),  # -274 degrees: not set
    ]
    assert box.meters == (
        Meter("rapl", "package-0", "sys/class/powercap/intel-rapl:0/energy_uj", wraps_uj=262_143_328_850),
    )
    assert caplog.records == []


def test_amd_has_its_sensor_elsewhere_and_a_floor_above_the_lowest() -> None:
    box = read_box(TREES / "x86-amd-pstate")
    assert box.cpus == tuple(range(8))
    assert khz_of(box.clusters[7]) == (*range(400_000, 4_680_000, 100_000), 4_680_000)
    assert (box.clusters[7].floor_khz, box.clusters[7].ceiling_khz) == (1_100_000, 4_680_000)
    assert [(zone.name, zone.path) for zone in box.zones] == [("k10temp", "sys/class/hwmon/hwmon1")]
    assert [(meter.name, meter.wraps_uj) for meter in box.meters] == [("package-0", 65_532_610_987)]


def test_a_jetson_is_metered_where_its_current_comes_in() -> None:
    box = read_box(TREES / "jetson-orin")
    assert [(cluster.name, cluster.cpus, cluster.capacity) for cluster in box.clusters] == [
        ("policy0", (0, 1, 2, 3), 1024),
        ("policy4", (4, 5, 6, 7), 1024),
    ]
    assert len(box.clusters[0].points) == 26
    assert (box.clusters[0].lowest_khz, box.clusters[0].highest_khz) == (115_200, 1_984_000)
    assert box.clusters[0].floor_khz == 729_600
    assert box.meters == (Meter("hwmon", "VDD_IN", "sys/class/hwmon/hwmon1/in1_input"),)
    assert box.zones[0].trips == (Trip("critical", 104.5), Trip("passive", 99.0))
    assert box.zones[-1].name == "tj-thermal"


def test_a_container_is_one_cluster_of_what_may_be_used(caplog: pytest.LogCaptureFixture) -> None:
    root = TREES / "nothing"
    box = read_box(root, usable={1, 2, 9})
    assert box.clusters == (Cluster("all", (1, 2)),)
    assert read_box(root).clusters == (Cluster("all", (0, 1, 2, 3)),)
    assert (box.zones, box.meters, box.has_dma_latency) == ((), (), False)
    assert caplog.records == []


def test_an_empty_tree_has_the_processors_of_the_process(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_box(tmp_path).cpus == tuple(sorted(os.sched_getaffinity(0)))
    assert len(caplog.records) == 1
    assert read_box(tmp_path, usable=(5, 3)).clusters == (Cluster("all", (3, 5)),)


def test_only_what_may_be_used_counts(caplog: pytest.LogCaptureFixture) -> None:
    box = read_box(TREES / "rk3588", usable=(0, 1, 6, 7))
    assert [(cluster.name, cluster.cpus) for cluster in box.clusters] == [("policy0", (0, 1)), ("policy6", (6, 7))]
    assert caplog.records == []
    assert read_box(TREES / "rk3588", usable=(12,)).cpus == tuple(range(8))
    assert "usable" in caplog.text


def test_an_offlined_core_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tree("rk3588", tmp_path)
    (root / CPU / "online").write_text("0-4,6-7\n")
    (root / CPU / "cpufreq/policy4/affected_cpus").write_text("4\n")
    shutil.rmtree(root / CPU / "cpu5/topology")
    box = read_box(root)
    assert box.cpus == (0, 1, 2, 3, 4, 6, 7)
    assert box.cluster_of(4).cpus == (4,)
    assert caplog.records == []


def test_an_offlined_thread_is_nobodys_sibling(tmp_path: Path) -> None:
    root = tree("x86-intel-pstate", tmp_path)
    (root / CPU / "online").write_text("0-6\n")
    box = read_box(root)
    assert box.threads_of_core[3] == (3,)
    assert box.threads_of_core[2] == (2, 6)


def test_siblings_have_two_names(tmp_path: Path) -> None:
    root = tree("x86-intel-pstate", tmp_path)
    for folder in (root / CPU).glob("cpu?/topology"):
        (folder / "thread_siblings_list").rename(folder / "core_cpus_list")
    assert read_box(root).threads_of_core[1] == (1, 5)


def test_hybrid_cores_are_told_by_their_top_frequencies(tmp_path: Path) -> None:
    root = tree("x86-intel-pstate", tmp_path)
    for cpu in range(4, 8):
        (root / CPU / f"cpufreq/policy{cpu}/cpuinfo_max_freq").write_text("2700000\n")
    assert [cluster.capacity for cluster in read_box(root).clusters] == [1024] * 4 + [768] * 4


def test_favoured_cores_are_of_the_same_kind(tmp_path: Path) -> None:
    root = tree("x86-intel-pstate", tmp_path)
    (root / CPU / "cpufreq/policy2/cpuinfo_max_freq").write_text("4100000\n")
    assert {cluster.capacity for cluster in read_box(root).clusters} == {1024}


def test_one_capacity_that_is_missing_makes_all_a_matter_of_frequency(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tree("rk3588", tmp_path)
    (root / CPU / "cpu0/cpu_capacity").write_text("lots\n")
    assert [cluster.capacity for cluster in read_box(root).clusters] == [397, 1024, 1024]  # cpu1 says it too
    assert caplog.records == []
    for cpu in range(4):
        (root / CPU / f"cpu{cpu}/cpu_capacity").unlink(missing_ok=True)
    assert [cluster.capacity for cluster in read_box(root).clusters] == [768, 1024, 1024]
    assert [record.getMessage().split(";")[0] for record in caplog.records] == ["the capacity of policy0 is unknown"]


def test_a_governor_without_limits_has_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tree("rk3588", tmp_path)
    for name in ("scaling_min_freq", "scaling_max_freq", "scaling_available_governors"):
        (root / CPU / "cpufreq/policy4" / name).unlink()
    cluster = read_box(root).clusters[1]
    assert (cluster.floor_khz, cluster.ceiling_khz, cluster.governors) == (0, 0, ())
    assert khz_of(cluster) == A76_KHZ
    assert caplog.records == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("scaling_available_frequencies", b"1200000 fast 2400000\n"),
        ("scaling_available_frequencies", b"1200000 3 2400000\n"),
        ("scaling_min_freq", b"\xff\xfe\x00\n"),
        ("scaling_min_freq", b""),
        ("scaling_min_freq", b"9999999\n"),
        ("scaling_max_freq", b"-1\n"),
        ("scaling_governor", b"<unknown> governor\n"),
        ("cpuinfo_min_freq", b"0\n"),
    ],
)
def test_nonsense_is_told_in_one_line(
    name: str, content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tree("rk3588", tmp_path)
    (root / CPU / "cpufreq/policy4" / name).write_bytes(content)
    cluster = read_box(root).clusters[1]
    assert (cluster.lowest_khz, cluster.highest_khz) == (1_200_000, 2_400_000)
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    assert name in caplog.text


def test_mhz_in_place_of_khz_are_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tree("x86-amd-pstate", tmp_path)
    for name in ("cpuinfo_max_freq", "scaling_max_freq", "scaling_min_freq"):
        (root / CPU / "cpufreq/policy0" / name).write_text("2151\n")
    cluster = read_box(root).clusters[0]
    assert khz_of(cluster) == (400_000,)
    assert (cluster.floor_khz, cluster.ceiling_khz) == (0, 0)
    assert len(caplog.records) == 1


def test_what_can_not_be_read_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tree("rk3588", tmp_path)
    for name in ("scaling_governor", "cpuinfo_max_freq", "scaling_available_frequencies"):
        file = root / CPU / "cpufreq/policy0" / name
        file.unlink()
        file.mkdir()  # which nobody can read as a file, the superuser neither
    little = read_box(root).clusters[0]
    assert (little.governor, khz_of(little)) == ("", (1_008_000,))
    assert len(caplog.records) == 1


def test_processors_without_a_policy_are_a_cluster(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tree("rk3588", tmp_path)
    shutil.rmtree(root / CPU / "cpufreq/policy4")
    (root / CPU / "cpufreq/policy6/related_cpus").write_text("0-\n")
    (root / CPU / "cpufreq/policy6/affected_cpus").write_text("99999999999\n")
    box = read_box(root)
    assert [(cluster.name, cluster.cpus) for cluster in box.clusters] == [
        ("policy0", (0, 1, 2, 3)),
        ("other", (4, 5, 6, 7)),
    ]
    assert box.clusters[1].capacity == 1024
    assert len(caplog.records) == 2


def test_a_processor_is_in_one_cluster_only(tmp_path: Path) -> None:
    root = tree("rk3588", tmp_path)
    (root / CPU / "cpufreq/policy6/related_cpus").write_text("0-7\n")
    assert [cluster.cpus for cluster in read_box(root).clusters] == [(0, 1, 2, 3), (4, 5), (6, 7)]


def test_policies_come_by_number(tmp_path: Path) -> None:
    root = tree("rk3588", tmp_path)
    (root / CPU / "online").write_text("0-10\n")
    shutil.copytree(root / CPU / "cpufreq/policy6", root / CPU / "cpufreq/policy10")
    (root / CPU / "cpufreq/policy10/related_cpus").write_text("8-10\n")
    assert [cluster.name for cluster in read_box(root).clusters] == ["policy0", "policy4", "policy6", "policy10"]


def test_zones_of_one_name_are_told_apart(tmp_path: Path) -> None:
    root = tree("rk3588", tmp_path)
    for number in (1, 2):
        (root / f"sys/class/thermal/thermal_zone{number}/type").write_text("acpitz\n")
    (root / "sys/class/thermal/thermal_zone3/type").unlink()
    assert [zone.name for zone in read_box(root).zones[1:4]] == ["acpitz", "acpitz 2", "thermal_zone3"]


def test_trips_of_all_kinds(tmp_path: Path) -> None:
    root = tree("rk3588", tmp_path)
    zone = root / "sys/class/thermal/thermal_zone1"
    (zone / "trip_point_0_type").write_text("hot\n")
    (zone / "trip_point_2_type").write_text("active\n")
    (zone / "trip_point_2_temp").write_text("50000\n")
    (zone / "trip_point_3_type").write_text("lukewarm\n")
    (zone / "trip_point_3_temp").write_text("30000\n")
    assert read_box(root).zones[1].trips == (Trip("hot", 85.0), Trip("critical", 115.0), Trip("active", 50.0))


FILES = [(name, path) for name in NAMES for path in sorted((TREES / name).rglob("*")) if path.is_file()]
"""Every file of every tree."""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_no_content_of_any_file_raises(data: st.DataObject, tmp_path: Path) -> None:
    name, path = data.draw(st.sampled_from(FILES))
    root = tmp_path / name
    if not root.exists():
        tree(name, tmp_path)
    file = root / path.relative_to(TREES / name)
    if path.name == "NOTE.md":
        return
    file.write_bytes(
        data.draw(st.binary(max_size=200) | st.integers().map(lambda number: b"%d\n" % number) | st.just(b"0-9999"))
    )
    try:
        box = read_box(root)
        assert box.cpus
        assert sorted(box.threads_of_core) == list(box.cpus)
        for cluster in box.clusters:
            assert 0 < cluster.capacity <= 1024
            assert list(khz_of(cluster)) == sorted(set(khz_of(cluster)))
            assert cluster.floor_khz >= 0
    finally:
        shutil.copy(path, file)


@pytest.mark.parametrize(("name", "missing"), [(name, part) for name in NAMES for part in ("cpu", "class", "cpufreq")])
def test_a_missing_folder_is_no_error(name: str, missing: str, tmp_path: Path) -> None:
    root = tree(name, tmp_path)
    place = {"cpu": root / CPU, "class": root / "sys/class", "cpufreq": root / CPU / "cpufreq"}[missing]
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a file where a folder is expected")
    assert read_box(root, usable=(0, 1)).cpus == (0, 1)
