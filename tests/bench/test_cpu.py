"""Stages are timed on so many cores and at several frequencies, by worker processes with scripted engines."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tests.cpu.boxes import tree
from tests.cpu.contents import contents
from voicebot.bench.cpu import Measured, StageTimes, measure_cpu
from voicebot.bench.speeds import Speeds
from voicebot.bench.stage_load import TimedCosts, utterances
from voicebot.clock import LoopClock
from voicebot.config.load import load_settings
from voicebot.daemon import cost_keys
from voicebot.latency.cost import StageCost
from voicebot.latency.fits import read_fits, write_fits
from voicebot.latency.misses import Cause
from voicebot.models.store import Store
from voicebot.workers.threads import Threads

CORE: Final = min(os.sched_getaffinity(0))
CLIPS: Final = [np.zeros(samples, np.int16) for samples in (16_000, 32_000)]
DAEMON_S: Final = StageCost(0.05, 0.02, 0.0, 1.4)


def measured(store: Store, speeds: Speeds, steps: list[str]) -> Measured:
    settings = load_settings("scripted", "voicebot")
    return asyncio.run(measure_cpu(settings, store, CLIPS, [1], 1, speeds, steps.append))


def row(stage: str, cores: int, p50_ms: float) -> StageTimes:
    return StageTimes(stage, cores, cores, 4, (1.0,), p50_ms, None, None)


def test_every_stage_is_timed_at_every_frequency_and_the_box_is_as_it_was(tmp_path: Path, store: Store) -> None:
    root, steps = tree("rk3588", tmp_path), list[str]()
    before, usable = contents(root), os.sched_getaffinity(0)
    speeds = Speeds({CORE}, root, tmp_path / "run/cpu.json")
    try:
        found = measured(store, speeds, steps)
    finally:
        speeds.restore()
    assert contents(root) == before
    assert os.sched_getaffinity(0) == usable
    assert found.in_cycles
    # A clause that is made in no time may have waited longer for its playback, and then says nothing.
    rows = [each for each in found.rows if each.stage != "tts"]
    assert [each.stage for each in rows] == ["asr", "slm_read", "slm", "tts_first", "turn"]
    top, lowest, middle = (khz for point in speeds.points((CORE,)) for khz in point.values())
    for each in rows:
        assert (each.cores, each.threads, each.requests) == (1, 1, 12)
        assert each.ghz == (top / 1e6, middle / 1e6, lowest / 1e6)
        assert (each.cost is None, each.error is None) == (each.stage == "turn",) * 2
    assert found.fits == {}  # of scripted engines nothing is kept
    assert steps[0] == "1 core: loading"
    assert steps[-1].endswith("GHz: round 1 of 1")


def test_the_speed_up_is_against_the_fewest_cores() -> None:
    found = Measured([row("asr", 1, 90.0), row("asr", 2, 60.0), row("tts", 2, 40.0)], {}, in_cycles=False)
    assert [found.speed_up(each) for each in found.rows] == [1.0, 1.5, 1.0]


def test_the_daemon_starts_from_what_was_learnt(tmp_path: Path) -> None:
    pipeline = load_settings("assistant", "voicebot").pipeline
    keys = cost_keys(pipeline, Threads(asr=2, slm=1, slm_prefill=2, tts=2), in_cycles=False)
    bench = TimedCosts(LoopClock(), keys)
    for units in (5, 10, 20) * 10:
        bench.took("tts", units, DAEMON_S.seconds(units, 1.0))
    file = tmp_path / "costs.json"
    write_fits(file, bench.learnt)
    daemon = TimedCosts(LoopClock(), keys)
    assert daemon.cost("tts").seconds(20, 1.0) != pytest.approx(DAEMON_S.seconds(20, 1.0), rel=0.05)
    daemon = TimedCosts(LoopClock(), keys, known=read_fits(file))
    assert daemon.cost("tts").seconds(20, 1.0) == pytest.approx(DAEMON_S.seconds(20, 1.0), rel=0.05)


def test_costs_in_cycles_and_costs_in_seconds_have_keys_of_their_own() -> None:
    pipeline, threads = load_settings("assistant", "voicebot").pipeline, Threads(1, 2, 3, 4)
    seconds, cycles = (cost_keys(pipeline, threads, in_cycles=each) for each in (False, True))
    assert not set(seconds.values()) & set(cycles.values())
    assert {stage: key.threads for stage, key in seconds.items()} == {
        "asr": 1,
        "slm": 2,
        "slm_read": 3,
        "tts_first": 4,
        "tts": 4,
    }
    assert all(key.stage == stage for stage, key in seconds.items())


def test_what_was_delayed_is_not_among_the_times() -> None:
    costs = TimedCosts(LoopClock())
    costs.took("asr", 2.0, 0.1)
    costs.took("asr", 2.0, 0.4, Cause.SECOND_LOOK)
    assert [each.seconds for each in costs.timed] == [0.1]


def test_utterances_differ_in_length_even_of_a_single_clip() -> None:
    assert [len(pcm) for pcm in utterances(CLIPS)] == [16_000, 32_000, 48_000, 64_000]
    assert len({len(pcm) for pcm in utterances(CLIPS[:1])}) == 2
