from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.boxes import Clockwork, at_top, chip
from voicebot.cpu.box import OperatingPoint
from voicebot.cpu.demand import Stage
from voicebot.cpu.placement import Seat
from voicebot.sim.chip import rk3588
from voicebot.sim.costs import FIRST_WINDOW_PHONEMES, SLM_1_5B, SMOLLM2_135M, stage_cost, stage_work, step_work
from voicebot.sim.governors import fixed
from voicebot.sim.machine import Machine


@pytest.mark.parametrize(("stage", "units"), [("asr", 5.0), ("slm", 1.0), ("tts", 40.0), ("turn", 1.0)])
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_stage_takes_what_its_cost_says(stage: Stage, units: float, share: float) -> None:
    box = rk3588()
    machine = at_top(box, fixed(share))
    clock = Clockwork(machine)
    seat = Seat((4, 5), 2)
    machine.submit("asr", stage_work(box, SLM_1_5B, stage, units), seat, lambda: clock.note("it"))
    machine.run_until(20.0)
    said_s = stage_cost(box, SLM_1_5B, stage, "policy4", 2).seconds(units, machine.khz["policy4"] / 1e6)
    assert clock.done_s["it"] - 1.0 - box.wake_up_s == pytest.approx(said_s, rel=1e-6)


def test_the_machine_of_the_benchmarks_is_met() -> None:
    box = chip(2)
    cluster = replace(box.box.clusters[0], points=(OperatingPoint(3_300_000, 1.0),))
    here = replace(
        box,
        box=replace(box.box, clusters=(cluster,)),
        silicon={"policy0": replace(box.silicon["policy0"], core_bandwidth_bytes_s=16e9)},
        bandwidth_bytes_s=25e9,
        sync_overhead=0.05,
    )

    def ms(stage: Stage, units: float, threads: int) -> float:
        return 1000 * stage_cost(here, SMOLLM2_135M, stage, "policy0", threads).seconds(units, 3.3)

    assert 60 < ms("asr", 5.0, 2) < 110
    assert 7 < ms("slm", 1, 1) < 11
    assert 80 < ms("slm_read", 32, 2) < 120
    assert 40 < ms("tts", FIRST_WINDOW_PHONEMES, 2) < 75
    assert 20 < ms("turn", 1, 1) < 40


def test_a_batch_reads_the_weights_once() -> None:
    box = rk3588()
    one, eight = step_work(box, SLM_1_5B, 1, 0.0), step_work(box, SLM_1_5B, 8, 0.0)
    assert one.traffic_bytes == eight.traffic_bytes == SLM_1_5B.weight_bytes
    assert eight.cycles > 8 * one.cycles


def test_decoding_on_the_rk3588_is_as_fast_as_boards_are() -> None:
    box = rk3588()
    seconds = stage_cost(box, SLM_1_5B, "slm", "policy4", 4).seconds(1, 2.4)
    assert 10 < 1 / seconds < 18


def test_it_runs_on_a_machine_of_one_core() -> None:
    machine = Machine(chip(1), fixed(1.0))
    machine.submit("tts", stage_work(chip(1), SMOLLM2_135M, "tts", 10), Seat((0,), 2), lambda: None)
    machine.run_until(5.0)
    assert machine.tasks == []
