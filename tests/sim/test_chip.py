from __future__ import annotations

from dataclasses import fields

import pytest

from voicebot.sim.chip import PARAMETERS, Chip, rk3588, varied, x86_8core

CHIPS = [rk3588(), x86_8core()]


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_every_cluster_has_its_silicon_and_all_its_volts(chip: Chip) -> None:
    assert set(chip.silicon) == {cluster.name for cluster in chip.box.clusters}
    assert len(chip.box.cpus) == 8
    for cluster in chip.box.clusters:
        volts = [point.volts for point in cluster.points]
        assert None not in volts
        assert volts == sorted(volts, key=lambda each: each or 0.0)


def test_the_big_cores_of_the_rk3588_take_a_watt_each_at_the_top() -> None:
    chip = rk3588()
    big = chip.silicon["policy4"]
    assert big.dynamic_w(chip.point("policy4", 2_400_000)) == pytest.approx(416e-6 * 2400 * 1.0**2)
    little = chip.silicon["policy0"]
    assert little.dynamic_w(chip.point("policy0", 1_800_000)) == pytest.approx(228e-6 * 1800 * 0.95**2)


def test_eight_x86_cores_take_their_stated_power_at_the_base_clock() -> None:
    chip = x86_8core()
    core, base = chip.silicon["policy0"], chip.point("policy0", 1_900_000)
    package_w = chip.uncore_w + 8 * (core.dynamic_w(base) + core.static_w(base))
    assert package_w == pytest.approx(15.0, abs=1.5)


@pytest.mark.parametrize("name", PARAMETERS)
def test_one_parameter_is_varied_and_nothing_else(name: str) -> None:
    chip = rk3588()
    other = varied(chip, name, 1.3)
    differing = {field.name for field in fields(Chip) if getattr(chip, field.name) != getattr(other, field.name)}
    assert len(differing) == 1
    assert varied(chip, name, 1.0) == chip


def test_a_varied_parameter_has_the_new_value_in_all_clusters() -> None:
    chip = varied(rk3588(), "static_w_per_v2", 0.7)
    assert chip.silicon["policy6"].static_w_per_v2 == pytest.approx(0.06 * 0.7)
    assert chip.silicon["policy0"].static_w_per_v2 == pytest.approx(0.015 * 0.7)
    assert varied(chip, "trip_c", 0.9).cooling.trip_c == pytest.approx(76.5)
    assert varied(chip, "volts", 1.1).point("policy4", 2_400_000).volts == pytest.approx(1.1)


def test_an_unknown_parameter_is_an_error() -> None:
    with pytest.raises(KeyError):
        varied(rk3588(), "colour", 1.3)
