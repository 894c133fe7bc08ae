"""Whatever is wrong with the box, or goes wrong meanwhile, costs a line of the log and nothing of the conversation."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest

from tests.cpu.boxes import tree
from tests.cpu.contents import contents, khz
from tests.cpu.driven import CONVERSATION, Hands, converse, open_over, state, until
from voicebot.config.box import PowerSettings
from voicebot.config.pipeline import PipelineSettings
from voicebot.cpu.governor import open_governor
from voicebot.cpu.limits import CEILING, FLOOR, file_of
from voicebot.cpu.pilot import Pilot
from voicebot.events import ignore
from voicebot.latency.plan import Ladders

CPU: Final = "sys/devices/system/cpu"
BIG: Final = "policy4"
"""Of the RK3588: two cores for inference."""


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


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
