"""The units: what they promise, and what systemd itself says of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from voicebot.cli.plan import REFERENCE_MB
from voicebot.config.box import SchedulingSettings
from voicebot.config.load import load_settings
from voicebot.cpu.journal import default_path
from voicebot.models.catalogue import BYTES_PER_MB

ROOT: Final = Path(__file__).parents[1]
SYSTEM: Final = ROOT / "systemd/voicebot.service"
USER: Final = ROOT / "systemd/user/voicebot.service"
MOST_EXPOSURE: Final = 30
"""Tenths of systemd-analyze's points, of which a service without any protection has nearly ten."""

Unit = dict[str, list[str]]


def read(file: Path) -> Unit:
    """Return a unit's settings, each with all of its values; systemd lets a key stand several times."""
    unit: Unit = {}
    for line in file.read_text("utf-8").splitlines():
        if line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            unit.setdefault(key, []).append(value)
    return unit


def one(unit: Unit, key: str) -> str:
    (value,) = unit[key]
    return value


@pytest.mark.parametrize("file", [SYSTEM, USER], ids=["system", "user"])
def test_systemd_knows_when_it_is_ready_hangs_and_fails(file: Path) -> None:
    unit = read(file)
    assert one(unit, "Type") == "notify"
    assert one(unit, "Restart") == "always"
    assert one(unit, "KillMode") == "mixed"  # or the workers would be gone before the reply is faded
    assert one(unit, "WatchdogSec") == "20s"
    assert one(unit, "ExecStart").endswith("/bin/python -m voicebot run")
    assert one(unit, "ExecReload") == "/bin/kill -HUP $MAINPID"


def test_the_watchdog_is_more_patient_than_the_workers_supervisor() -> None:
    workers = load_settings().box.workers
    assert int(one(read(SYSTEM), "WatchdogSec").removesuffix("s")) > workers.request_timeout_s


@pytest.mark.parametrize("file", [SYSTEM, USER], ids=["system", "user"])
def test_the_journal_of_the_processors_limits_outlives_a_restart_and_is_looked_for_at_the_end(file: Path) -> None:
    unit = read(file)
    journal = default_path({"RUNTIME_DIRECTORY": "%t/voicebot"})
    python = "/usr/lib/voicebot/bin/python -m voicebot.cpu.restore"
    assert one(unit, "ExecStopPost") == f"/bin/sh -c 'test ! -e {journal} || exec {python}'"
    assert one(unit, "RuntimeDirectory") == "voicebot"
    assert one(unit, "RuntimeDirectoryPreserve") == "restart"


def test_the_limits_are_those_that_the_settings_want() -> None:
    unit, wanted = read(SYSTEM), SchedulingSettings()
    assert int(one(unit, "LimitRTPRIO")) == wanted.realtime_priority
    assert int(one(unit, "LimitNICE")) == min(wanted.daemon_nice, wanted.worker_nice)


@pytest.mark.parametrize("file", [SYSTEM, USER], ids=["system", "user"])
def test_memory_is_the_budget_that_the_plan_is_measured_by(file: Path) -> None:
    assert int(one(read(file), "MemoryMax")) == sum(REFERENCE_MB.values()) * BYTES_PER_MB


def test_nothing_leaves_the_box() -> None:
    unit = read(SYSTEM)
    assert one(unit, "IPAddressDeny") == "any"
    assert one(unit, "IPAddressAllow") == "localhost"


def test_it_may_write_what_voicebot_cpu_conf_grants() -> None:
    granted = re.findall(r"^z (\S+)/policy\*", (ROOT / "systemd/voicebot-cpu.conf").read_text("utf-8"), re.MULTILINE)
    assert {f"-{folder}" for folder in granted} == set(read(SYSTEM)["ReadWritePaths"])
    assert "/dev/cpu_dma_latency rw" in read(SYSTEM)["DeviceAllow"]


@pytest.fixture
def ready_to_run(tmp_path: Path) -> Path:
    """Return a folder of the units as they are when they are installed, with a Python that is there."""
    for file in (SYSTEM, USER):
        place = tmp_path / file.relative_to(ROOT / "systemd")
        place.parent.mkdir(exist_ok=True)
        place.write_text(file.read_text("utf-8").replace("/usr/lib/voicebot/bin/python", sys.executable))
    return tmp_path


def analyze(*arguments: str, runtime: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_COLORS": "0"}
    command = ["systemd-analyze", "--no-pager", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(("unit", "whose"), [("voicebot.service", "--system"), ("user/voicebot.service", "--user")])
def test_systemd_understands_every_line(unit: str, whose: str, ready_to_run: Path) -> None:
    done = analyze("verify", "--man=no", whose, str(ready_to_run / unit), runtime=ready_to_run)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "voicebot" in line]
    assert complaints == []


def test_the_service_is_little_exposed(ready_to_run: Path) -> None:
    file = str(ready_to_run / "voicebot.service")
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", file, runtime=ready_to_run)
    assert "Overall exposure level" in done.stdout
    assert done.returncode == 0, done.stdout
