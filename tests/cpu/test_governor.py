"""A conversation drives the box, whatever that is like, and leaves it as it was."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest

from tests.cpu.boxes import NAMES, tree
from tests.cpu.contents import contents, khz
from tests.cpu.driven import SESSION, Hands, converse, ended, open_over, state, until
from voicebot.cpu.status import read_status
from voicebot.events import Event, TurnEnergy, WorkerChanged
from voicebot.latency.costs import Costs
from voicebot.latency.fits import FitKey
from voicebot.latency.plan import Ladders

REPOSITORY: Final = Path(__file__).parents[2]
GOVERNED: Final = tuple(sorted({*NAMES} - {"nothing"}))
CPU: Final = "sys/devices/system/cpu"
BIG: Final = "policy4"
"""Of the RK3588: two cores for inference."""


@pytest.mark.parametrize("name", NAMES)
async def test_every_box_is_driven_and_restored(name: str, tmp_path: Path) -> None:
    root, clock = tree(name, tmp_path), Hands()
    before, governor = contents(root), await open_over(root, clock)
    inference = {cpu for role in ("asr", "slm", "tts") for cpu in governor.seating.seats[role].cpus}
    clusters = [each for each in governor.policy.box.clusters if each.points and inference & {*each.cpus}]
    seen: dict[str, list[tuple[int, int]]] = {}

    def look(event: Event) -> None:
        if clusters:
            limits = [khz(root, cluster.name) for cluster in clusters]
            seen.setdefault(getattr(event, "state", type(event).__name__), limits)

    await governor.step()
    look(state("begin"))
    await converse(governor, clock, look)
    look(state("end"))
    for index, cluster in enumerate(clusters):
        floors = {moment: limits[index][0] for moment, limits in seen.items()}
        ceilings = {moment: limits[index][1] for moment, limits in seen.items()}
        assert floors["begin"] == floors["end"] == cluster.lowest_khz
        assert ceilings["begin"] == ceilings["end"] < cluster.highest_khz
        assert ceilings["begin"] <= floors["listening"] < cluster.highest_khz
        assert floors["pending"] == floors["thinking"] == cluster.highest_khz
        assert floors["ReplySynthesised"] < cluster.highest_khz
    assert bool(clusters) == (contents(root) != before)
    await governor.close()
    assert contents(root) == before
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(("name", "events"), [*((name, 5) for name in GOVERNED), ("rk3588", 2), ("rk3588", 16)])
def test_killed_in_the_middle_the_next_start_restores(name: str, events: int, tmp_path: Path) -> None:
    root = tree(name, tmp_path)
    before = contents(root)
    command = [sys.executable, "-m", "tests.cpu.dies_governing", str(root), str(events)]
    killed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert contents(root) != before
    assert read_status(tmp_path / "run/status.json") is None  # it is there, of a process that is not

    async def start_again() -> None:
        governor = await open_over(root, Hands())
        assert contents(root) == before
        await governor.step()
        assert read_status(tmp_path / "run/status.json") is not None
        await governor.close()

    asyncio.run(start_again())
    assert contents(root) == before


async def test_the_task_governs_by_itself(tmp_path: Path) -> None:
    root, clock, told = tree("rk3588", tmp_path), Hands(), list[Event]()
    before, governor = contents(root), await open_over(root, clock, told.append)
    async with governor.running(Ladders()):
        assert khz(root, BIG)[1] < 2_400_000
        governor.observe(state("listening"))
        governor.observe(state("pending"))
        await until(lambda: khz(root, BIG)[0] == 2_400_000)
        clock.s += 3.0
        governor.observe(ended())
        governor.observe(state("idle"))
        clock.s += 3.0  # the hold times are over at the next of its own ticks
        await until(lambda: khz(root, BIG)[1] < 2_400_000)
    assert contents(root) == before
    assert [type(event) for event in told] == [TurnEnergy]
    assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({"governor"})


async def test_what_ends_the_conversation_ends_it(tmp_path: Path) -> None:
    root = tree("rk3588", tmp_path)
    before, governor = contents(root), await open_over(root, Hands())

    async def talk() -> None:
        async with governor.running(Ladders()):
            governor.observe(state("listening"))
            await asyncio.sleep(60)

    talking = asyncio.create_task(talk())
    await until(lambda: contents(root) != before)
    talking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await talking
    assert contents(root) == before


async def test_the_workers_are_seated_and_their_successors(tmp_path: Path) -> None:
    root = tree("rk3588", tmp_path)
    governor = await open_over(root, Hands())
    seen: list[dict[str, Sequence[int]]] = []
    actuators: Any = governor.pilot.actuators
    with patch.object(actuators, "apply", lambda _, pids: seen.append(pids)):
        await governor.step()
        governor.observe(WorkerChanged("slm", "loading", 11, ""))
        governor.observe(WorkerChanged("slm-large", "ready", 12, ""))
        await governor.step()
        governor.observe(WorkerChanged("slm", "died", 11, "signal 9"))
        governor.observe(WorkerChanged("slm", "loading", 13, ""))
        await governor.step()
        governor.observe(WorkerChanged("slm", "ready", 13, ""))
        await governor.step()
    own = [os.getpid()]
    assert seen == [{"audio": own}, {"audio": own, "slm": [11, 12]}, {"audio": own, "slm": [12, 13]}]
    await governor.close()


async def test_heat_makes_it_slower_and_asks_the_ladders_for_less(tmp_path: Path) -> None:
    root, clock = tree("rk3588", tmp_path), Hands()
    governor = await open_over(root, clock)
    costs = Costs(clock, {stage: FitKey(stage, "model", "core", 4) for stage in ("asr", "slm_read", "slm", "tts")})
    ladders = Ladders(costs)
    async with governor.running(ladders):
        for zone in governor.policy.box.zones:
            (root / zone.path / "temp").write_text("84000\n")
        clock.s += 2.0
        await governor.step()
        governor.observe(state("listening"))
        clock.s += 2.0
        governor.observe(state("pending"))
        await governor.step()
        assert khz(root, BIG)[1] < 2_400_000
        assert ladders.pressure == 0.0  # what the stages cost is not known
        for stage in ("asr", "slm_read", "slm", "tts"):
            costs.took(stage, 10.0, 0.5)
        governor.observe(state("idle"))
        governor.observe(state("listening"))
        clock.s += 2.0
        governor.observe(state("pending"))
        await governor.step()
        assert 0 < ladders.pressure < 1


async def test_the_frequency_of_a_stage_is_its_ceiling_where_that_is_ours(tmp_path: Path) -> None:
    clock = Hands()
    governor = await open_over(tree("rk3588", tmp_path), clock)
    assert governor.ghz("slm") == 2.4
    await governor.step()
    assert governor.ghz("slm") == 1.2
    governor.observe(state("listening"))
    governor.observe(state("pending"))
    await governor.step()
    assert (governor.ghz("slm_read"), governor.ghz("tts_first")) == (2.4, 2.4)
    await governor.close()
    lonely = await open_over(tree("nothing", tmp_path / "2"), clock)
    await lonely.step()
    assert lonely.ghz("asr") == 1.0
    await lonely.close()


@pytest.mark.parametrize(("name", "busy_s", "idle_s"), [("nothing", None, None), ("rk3588", 0.1, 2.0)])
async def test_it_ticks_only_where_something_can_come_of_it(
    name: str, busy_s: float | None, idle_s: float | None, tmp_path: Path
) -> None:
    clock = Hands()
    governor = await open_over(tree(name, tmp_path), clock)
    if name == "nothing":  # nor clamps, as in a virtual machine
        governor.pilot.controls = type(governor.pilot.controls)(
            **dict.fromkeys(("frequency", "preference", "clamps", "wake_up"), False),
            affinity=True,
            realtime=True,
            nice=0,
        )
    await converse(governor, clock)
    assert governor.pause_s == idle_s
    governor.observe(state("listening"))
    await governor.step()
    assert governor.pause_s == (busy_s if busy_s is not None else 2.0)
    await governor.close()


async def test_the_status_tells_all(tmp_path: Path) -> None:
    root, clock = tree("x86-intel-pstate", tmp_path), Hands()
    governor = await open_over(root, clock)
    ladders, path = Ladders(), tmp_path / "run/status.json"
    async with governor.running(ladders):
        clock.s += 1.5
        governor.observe(state("listening"))
        await governor.step()
        found = json.loads(path.read_text())
        assert found["sessions"] == {SESSION: "listening"}
        assert found["pid"] == os.getpid()
        assert found["ladder"] == {"pressure": 0.0, "rungs": {}}
        assert found["energy"]["measured"]
        assert found["controls"]["frequency"]
        assert all(math.isfinite(celsius) for celsius in found["temperatures_c"].values())
        first = found["clusters"][0]
        assert first["floor_khz"] == khz(root, first["name"])[0] == first["wanted"]["floor_khz"]
        clock.s += 0.5
        governor.observe(state("pending"))
        await governor.step()
        assert json.loads(path.read_text()) == found  # once a second is enough
    assert not path.exists()
