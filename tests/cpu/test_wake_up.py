"""The device for the time that a core may take to wake up, which is a file here."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from unittest.mock import patch

import pytest

from voicebot.cpu.kernel_files import KernelFiles
from voicebot.cpu.wake_up import WakeUp


@pytest.fixture
def device(tmp_path: Path) -> Path:
    (tmp_path / "dev").mkdir()
    device = tmp_path / "dev/cpu_dma_latency"
    device.touch()
    return device


def holders(device: Path) -> int:
    """Return how often this process has the device open."""
    return sum(os.path.realpath(link) == str(device) for link in Path("/proc/self/fd").iterdir())


def test_it_is_held_while_it_is_wanted(device: Path, tmp_path: Path) -> None:
    wake_up = WakeUp(KernelFiles(tmp_path))
    assert wake_up.possible
    for limit_us in (50, 50, 300):
        wake_up.hold(limit_us)
        assert device.read_bytes() == limit_us.to_bytes(4, "little", signed=True)
        assert holders(device) == 1
    wake_up.hold(None)
    assert holders(device) == 0


def test_a_box_without_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wake_up = WakeUp(KernelFiles(tmp_path))
    assert not wake_up.possible
    with caplog.at_level(logging.INFO):
        for limit_us in (50, 60, None, 70):
            wake_up.hold(limit_us)
    assert len(caplog.records) == 1


def test_a_device_that_only_others_may_write(device: Path, caplog: pytest.LogCaptureFixture) -> None:
    wake_up = WakeUp(KernelFiles(device.parents[1]))
    refusal = PermissionError(errno.EACCES, "")
    with caplog.at_level(logging.INFO), patch("os.open", side_effect=refusal) as opened:
        wake_up.hold(50)
        wake_up.hold(60)
    assert (opened.call_count, len(caplog.records)) == (1, 1)
    assert not wake_up.possible
