"""The power that is reckoned with where nothing measures it."""

from __future__ import annotations

import pytest

from tests.cpu.boxes import TREES
from voicebot.cpu.power import CORTEX_A55, CORTEX_A76, PC, CorePower, Load, ModelledPower, model_of
from voicebot.cpu.topology import read_box


@pytest.mark.parametrize(
    ("core", "khz", "watts"),
    [
        (CORTEX_A76, 2_400_000, 416e-6 * 2400 * 1.0**2),
        (CORTEX_A76, 1_200_000, 416e-6 * 1200 * 0.675**2),
        (CORTEX_A55, 1_800_000, 228e-6 * 1800 * 0.95**2),
        (CORTEX_A55, 1_104_000, 228e-6 * 1104 * 0.69375**2),  # half way from 0.675 to 0.7125 V
        (CORTEX_A76, 408_000, 416e-6 * 408 * 0.675**2),  # no voltage below the lowest
        (CORTEX_A76, 0, 416e-6 * 2400),  # unknown
    ],
)
def test_a_core_takes_c_f_v_squared(core: CorePower, khz: int, watts: float) -> None:
    assert core.watts(khz) == pytest.approx(watts)


def test_a_capacity_unit_costs_what_the_device_tree_says() -> None:
    a76_mw = CORTEX_A76.watts(1_200_000) * 1000 / (1024 * 1200 / 2400)
    a55_mw = CORTEX_A55.watts(1_008_000) * 1000 / (398 * 1008 / 1800)
    assert a76_mw == pytest.approx(0.444, abs=0.001)
    assert a55_mw == pytest.approx(0.470, abs=0.001)


def test_a_box_is_the_sum_of_its_busy_cores() -> None:
    model = ModelledPower({"little": CORTEX_A55, "big": CORTEX_A76}, static_w=0.5)
    assert model.watts([]) == 0.5
    loads = [Load("little", 1_800_000, 4), Load("big", 2_400_000, 0.25)]
    assert model.watts(loads) == pytest.approx(0.5 + 4 * CORTEX_A55.watts(1_800_000) + CORTEX_A76.watts(2_400_000) / 4)
    with pytest.raises(KeyError):
        model.watts([Load("huge", 1_000_000, 1)])


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("rk3588", [CORTEX_A55, CORTEX_A76, CORTEX_A76]),
        ("jetson-orin", [CORTEX_A76, CORTEX_A76]),
        ("x86-amd-pstate", [PC] * 8),
        ("nothing", [PC]),
    ],
)
def test_a_box_is_judged_by_its_clusters(name: str, kinds: list[object]) -> None:
    assert list(model_of(read_box(TREES / name)).cores.values()) == kinds
