from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.cpu.boxes import NAMES, tree
from tests.cpu.contents import contents
from tests.cpu.scripted_kernel import ScriptedKernel
from voicebot.cli import doctor_box
from voicebot.cli.doctor_box import check_box
from voicebot.cli.finding import Finding
from voicebot.config.box import BoxSettings, SchedulingSettings
from voicebot.cpu.kernel_files import KernelFiles
from voicebot.cpu.sysfs import Folder

FINDINGS = ["processor", "frequency", "wake-up", "precedence", "temperature", "energy"]


def found(root: Path, settings: BoxSettings | None = None) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_box(settings or BoxSettings(), root)}


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> ScriptedKernel:
    kernel = ScriptedKernel()
    monkeypatch.setattr("voicebot.cpu.scheduling.Kernel", lambda: kernel)
    return kernel


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KernelFiles, "may_write", lambda _, __: False)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("name", NAMES)
def test_a_box_with_all_rights_has_nothing_to_mend(name: str, tmp_path: Path) -> None:
    root = tree(name, tmp_path)
    before = contents(root)
    findings = found(root)
    assert list(findings) == FINDINGS
    assert {finding.state for finding in findings.values()} == {"ok"}
    assert contents(root) == before


@pytest.mark.usefixtures("kernel")
def test_what_the_box_is(tmp_path: Path) -> None:
    findings = found(tree("rk3588", tmp_path))
    assert findings["processor"].detail == (
        "4 x capacity 397 up to 1.8 GHz, schedutil; 4 x capacity 1024 up to 2.4 GHz, schedutil"
    )
    assert findings["frequency"].detail == "can be set by limits, utilisation clamps"
    assert "degrees Celsius in" in findings["temperature"].detail
    assert findings["energy"].detail == "estimated: the box has no meter"
    intel = found(tree("x86-intel-pstate", tmp_path))
    assert intel["frequency"].detail == "can be set by limits, energy preference"
    assert intel["energy"].detail.startswith("measured by ")
    nothing = found(tree("nothing", tmp_path))
    assert "of unknown frequency" in nothing["processor"].detail
    assert "no cpufreq" in nothing["frequency"].detail


@pytest.mark.usefixtures("read_only")
def test_what_is_not_allowed_and_the_command_that_allows_it(kernel: ScriptedKernel, tmp_path: Path) -> None:
    kernel.refusals = {"set_nice": errno.EACCES, "set_attributes": errno.EPERM}
    findings = found(tree("x86-intel-pstate", tmp_path))
    assert {name for name, finding in findings.items() if finding.state == "warning"} == {
        *("frequency", "wake-up", "precedence")
    }
    assert "systemd/voicebot-cpu.conf /etc/tmpfiles.d/" in findings["frequency"].mend
    assert "systemd/99-voicebot-cpu.rules /etc/udev/rules.d/" in findings["wake-up"].mend
    assert r"printf '@voicebot - nice -14\n@voicebot - rtprio 5\n'" in findings["precedence"].mend


@pytest.mark.usefixtures("read_only")
def test_without_cpufreq_there_is_nothing_to_allow(kernel: ScriptedKernel, tmp_path: Path) -> None:
    kernel.refusals = {"set_nice": errno.EACCES}
    unwanted = BoxSettings(scheduling=SchedulingSettings(enabled=False))
    findings = found(tree("nothing", tmp_path), unwanted)
    assert {finding.state for finding in findings.values()} == {"ok"}


@pytest.mark.usefixtures("kernel")
def test_a_meter_that_only_root_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree("x86-intel-pstate", tmp_path)
    monkeypatch.setattr(Folder, "number", lambda _, __: None)
    monkeypatch.setattr(doctor_box, "temperatures_c", lambda _, __: {})
    findings = found(root)
    assert "can't be read by this user" in findings["energy"].detail
    assert "does not tell it" in findings["temperature"].detail


def test_the_files_it_names_are_there() -> None:
    repository = Path(__file__).parents[2]
    for mend in (doctor_box._FREQUENCY, doctor_box._WAKE_UP):
        (named,) = (word for word in mend.split() if word.startswith("systemd/"))
        assert (repository / named).is_file()
