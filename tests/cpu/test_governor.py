"""A conversation drives the box, whatever that is like, and leaves it as it was."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest

from tests.cpu.boxes import NAMES, tree
from tests.cpu.contents import contents, khz
from tests.cpu.driven import CONVERSATION, SESSION, Hands, ended, open_over, state
from voicebot.config.box import PowerSettings
from voicebot.config.pipeline import PipelineSettings
from voicebot.cpu.governor import Governor, open_governor
from voicebot.cpu.limits import CEILING, FLOOR, file_of
from voicebot.cpu.pilot import Pilot
from voicebot.cpu.status import read_status
from voicebot.events import Event, TurnEnergy, WorkerChanged, ignore
from voicebot.latency.costs import Costs
from voicebot.latency.fits import FitKey
from voicebot.latency.plan import Ladders

REPOSITORY: Final = Path(__file__).parents[2]
GOVERNED: Final = tuple(sorted({*NAMES} - {"nothing"}))
CPU: Final = "sys/devices/system/cpu"
BIG: Final = "policy4"
"""Of the RK3588: two cores for inference."""


async def converse(governor: Governor, clock: Hands, after: Callable[[Event], None] = ignore) -> None:
    """Hold the conversation, and let the hold times of its end pass."""
    begin_s = clock.s
    for at_s, event in CONVERSATION:
        clock.s = begin_s + at_s
        governor.observe(event)
        await governor.step()
        after(event)
    for _ in range(5):
        clock.s += 2.0
        await governor.step()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


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


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the thread that writes files sets no asyncio.Event
            await asyncio.sleep(0.001)


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


def missing(root: Path) -> None:
    for name in (FLOOR, CEILING):
        (root / file_of(BIG, name)).unlink()


def no_limits(root: Path) -> None:
    """A driver without limits, or a governor that does not let them be set."""
    for path in (root / CPU / "cpufreq").glob("policy*"):
        for name in (FLOOR, CEILING):
            (path / name).unlink()


def offline(root: Path) -> None:
    """Both cores of a cluster are switched off: its directory goes."""
    (root / CPU / "online").write_text("0-3,6-7\n")
    shutil.rmtree(root / CPU / "cpufreq" / BIG)


def mad_sensor(celsius: float) -> Callable[[Path], None]:
    def set_it(root: Path) -> None:
        (root / "sys/class/thermal/thermal_zone0/temp").write_text(f"{celsius * 1000:.0f}\n")

    return set_it


HARM: Final = {
    "missing files": (missing, [FLOOR, CEILING]),
    "no limits": (no_limits, [FLOOR, CEILING]),
    "a core that is offline": (offline, ["the processors"]),
    "-274 degrees": (mad_sensor(-274), ["/"]),
    "0 degrees": (mad_sensor(0), ["/"]),
    "127 degrees": (mad_sensor(127), ["/"]),
}
"""What goes wrong, and how the lines of the log about it begin."""


@pytest.mark.parametrize("harm", HARM)
async def test_what_goes_wrong_while_it_runs_is_a_line(
    harm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, clock = tree("rk3588", tmp_path), Hands()
    before, governor = contents(root), await open_over(root, clock)
    await converse(governor, clock)
    caplog.clear()
    do, expected = HARM[harm]
    with caplog.at_level(logging.INFO):
        do(root)
        changed = {name for name, content in contents(root).items() if before[name] != content}
        await converse(governor, clock)
        await converse(governor, clock)
    said = [line.removeprefix(str(root)) for line in lines(caplog)]
    assert len(said) <= len(expected), said
    assert all(any(line.startswith(begin) for begin in expected) for line in said), said
    assert governor.works
    await governor.close()
    after = contents(root)
    written = {name for name in after if Path(name).name in {FLOOR, CEILING}}
    assert written <= before.keys()
    assert {name: after[name] for name in written} == {name: before[name] for name in written}
    assert after.keys() <= before.keys()
    assert changed >= {name for name in after if after[name] != before[name]} - written


@pytest.mark.parametrize("harm", HARM)
async def test_what_was_wrong_before_is_no_error(harm: str, tmp_path: Path) -> None:
    root, clock = tree("rk3588", tmp_path), Hands()
    HARM[harm][0](root)
    before, governor = contents(root), await open_over(root, clock)
    await converse(governor, clock)
    assert governor.works
    await governor.close()
    assert contents(root) == before


async def test_a_core_that_comes_back_is_used_again(tmp_path: Path) -> None:
    root, clock = tree("rk3588", tmp_path), Hands()
    governor = await open_over(root, clock)
    offline(root)
    await converse(governor, clock)
    assert {4, 5}.isdisjoint(governor.policy.box.cpus)
    shutil.rmtree(root)
    tree("rk3588", tmp_path)
    await converse(governor, clock)
    assert {4, 5} <= {*governor.policy.box.cpus}
    await governor.close()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
async def test_read_only_files_are_a_line_of_each_kind(
    code: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, clock = tree("rk3588", tmp_path), Hands()
    before, governor = contents(root), await open_over(root, clock)
    opened = os.open

    def read_only(path: Any, flags: int, *more: int) -> int:
        if flags & os.O_WRONLY and root in Path(path).parents:
            raise OSError(code, os.strerror(code))
        return opened(path, flags, *more)

    with caplog.at_level(logging.INFO), patch("os.open", read_only):
        await converse(governor, clock)
        await converse(governor, clock)
    assert sorted(line.split()[0] for line in lines(caplog)) == ["cpu_dma_latency", CEILING, FLOOR]
    assert contents(root) == before
    await governor.close()


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
@pytest.mark.parametrize("at", range(0, len(CONVERSATION), 3))
async def test_a_clock_that_jumps(jump_s: float, at: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, clock = tree("rk3588", tmp_path), Hands()
    before, governor = contents(root), await open_over(root, clock)
    begin_s = clock.s
    with caplog.at_level(logging.WARNING):
        for index, (at_s, event) in enumerate(CONVERSATION):
            clock.s = begin_s + at_s + (jump_s if index >= at else 0)
            governor.observe(event)
            await governor.step()
            if event == state("pending"):
                assert khz(root, BIG) == (2_400_000, 2_400_000)
        for _ in range(6):
            clock.s += 2.0
            await governor.step()
    assert khz(root, BIG) == (1_200_000, 1_200_000)
    assert governor.outcome.settled
    assert lines(caplog) == []
    await governor.close()
    assert contents(root) == before


async def test_its_own_failure_is_a_line_and_the_box_is_restored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, clock, ladders = tree("rk3588", tmp_path), Hands(), Ladders()
    before, governor = contents(root), await open_over(root, clock)
    async with governor.running(ladders):
        assert contents(root) != before
        ladders.pressure = 0.5
        with patch.object(governor.pilot, "step", side_effect=ZeroDivisionError("by 0")):
            governor.observe(state("listening"))
            await until(lambda: contents(root) == before)
        governor.observe(state("pending"))
        await governor.step()
        assert ladders.pressure == 0.0
    assert contents(root) == before
    assert lines(caplog) == ["the processor is left to itself (ZeroDivisionError: by 0)"]


async def test_without_it_the_daemon_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = (PipelineSettings(), Hands(), ignore)
    assert await open_governor(PowerSettings(enabled=False), *arguments, root=tmp_path) is None
    with patch.object(Pilot, "__init__", side_effect=OSError("no such thing")):
        assert await open_governor(PowerSettings(), *arguments, root=tmp_path) is None
    assert lines(caplog) == ["the processor is left to itself (OSError: no such thing)"]


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
