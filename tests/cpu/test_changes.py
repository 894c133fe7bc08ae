"""Files are changed and put back, whoever else is at them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from voicebot.cpu.changes import Changes
from voicebot.cpu.journal import Change
from voicebot.cpu.kernel_files import KernelFiles
from voicebot.cpu.limits import CEILING, FLOOR, PREFERENCE, file_of

LOW, HIGH, PREFERRED = (file_of("policy0", kind) for kind in (FLOOR, CEILING, PREFERENCE))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with one policy."""
    root = tmp_path / "root"
    for name, content in ((LOW, "600000\n"), (HIGH, "2400000\n"), (PREFERRED, "balance_performance\n")):
        put(root, name, content)
    return root


def put(root: Path, name: str, content: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(content)


def held(root: Path) -> list[str]:
    return [(root / name).read_text().strip() for name in (LOW, HIGH, PREFERRED)]


def changes(root: Path) -> Changes:
    return Changes(KernelFiles(root), root.parent / "cpu.json")


def crash(root: Path, wanted: dict[str, str]) -> None:
    """Change files, and end without a word."""
    changed = changes(root)
    try:
        changed.make(wanted)
    finally:
        changed._journal.unlock()


def test_there_and_back(root: Path) -> None:
    changed = changes(root)
    changed.make({LOW: "1200000\n", HIGH: "1800000\n", PREFERRED: "power\n"})
    assert held(root) == ["1200000", "1800000", "power"]
    changed.put_back()
    assert held(root) == ["600000", "2400000", "balance_performance"]
    changed.put_back()
    assert [path.name for path in root.parent.iterdir()] == ["root"]


def test_the_journal_is_written_for_new_values_only(root: Path) -> None:
    changed = changes(root)
    with patch("os.fsync") as synced:
        for _ in range(3):
            changed.make({HIGH: "1800000\n"})
            changed.make({HIGH: "1200000\n"})
    assert synced.call_count == 4
    assert json.loads((root.parent / "cpu.json").read_text())["files"] == {
        HIGH: {"original": "2400000\n", "ours": ["1800000\n", "1200000\n"], "settled": True}
    }


def test_what_others_wrote_is_left_alone(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    crash(root, {HIGH: "1800000\n", PREFERRED: "power\n"})
    put(root, HIGH, "2000000\n")
    changes(root).put_back()
    assert held(root) == ["600000", "2000000", "balance_performance"]
    assert len(caplog.records) == 1
    assert "2000000" in caplog.text


def test_what_the_kernel_made_of_a_value_is_ours(root: Path) -> None:
    write = KernelFiles.write
    with patch.object(KernelFiles, "write", lambda files, name, _: write(files, name, "1795000\n")):
        crash(root, {HIGH: "1800000\n"})
    assert held(root)[1] == "1795000"
    changes(root).put_back()
    assert held(root)[1] == "2400000"


def test_a_process_killed_in_a_write_may_have_left_anything(root: Path) -> None:
    with patch.object(KernelFiles, "write", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        crash(root, {HIGH: "1800000\n"})
    put(root, HIGH, "1795000\n")
    changes(root).put_back()
    assert held(root)[1] == "2400000"


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        '{"files": {}}',
        '{"boot": "", "files": {"etc/passwd": {"original": "", "ours": [], "settled": false}}}',
        '{"boot": "", "files": {"sys/../etc/scaling_max_freq": {"original": "", "ours": [], "settled": false}}}',
        f'{{"boot": "", "files": {{"{HIGH}": {{"original": 7, "ours": [], "settled": false}}}}}}',
    ],
)
def test_a_damaged_journal_is_one_line_and_no_write(root: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    crash(root, {HIGH: "1800000\n"})
    (root.parent / "cpu.json").write_text(damage)
    with patch.object(KernelFiles, "write") as written:
        changes(root).put_back()
    written.assert_not_called()
    assert len(caplog.records) == 1
    assert "damaged" in caplog.text


def test_after_a_restart_of_the_computer_nothing_is_put_back(root: Path) -> None:
    put(root, "proc/sys/kernel/random/boot_id", "one\n")
    crash(root, {HIGH: "1800000\n"})
    put(root, "proc/sys/kernel/random/boot_id", "two\n")
    changes(root).put_back()
    assert held(root)[1] == "1800000"
    assert not (root.parent / "cpu.json").exists()


def test_one_process_at_a_time(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = changes(root), changes(root)
    first.make({HIGH: "1800000\n"})
    with caplog.at_level(logging.INFO):
        second.make({HIGH: "1200000\n"})
        second.put_back()
    assert held(root)[1] == "1800000"
    assert len(caplog.records) == 1
    first.put_back()
    second.make({HIGH: "1200000\n"})
    assert held(root)[1] == "1200000"
    second.put_back()
    assert held(root)[1] == "2400000"


def test_what_can_not_be_noted_is_not_changed(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root.parent / "file").write_text("")
    changed = Changes(KernelFiles(root), root.parent / "file/cpu.json")
    assert changed.possible
    for _ in range(2):
        changed.make({HIGH: "1800000\n"})
    assert not changed.possible
    assert held(root)[1] == "2400000"
    assert len(caplog.records) == 1


def cool(root: Path, state: int) -> None:
    put(root, "sys/class/thermal/cooling_device0/type", "cpufreq-cpu0\n")
    put(root, "sys/class/thermal/cooling_device0/cur_state", f"{state}\n")


def test_a_ceiling_that_the_kernel_lowered_is_not_taken_for_somebodys(root: Path) -> None:
    crash(root, {HIGH: "1800000\n"})
    cool(root, 3)
    put(root, HIGH, "1200000\n")
    changes(root).put_back()
    assert held(root)[1] == "2400000"


def test_limits_are_not_changed_for_the_first_time_while_the_kernel_cools(root: Path) -> None:
    changed = changes(root)
    cool(root, 1)
    changed.make({HIGH: "1800000\n", PREFERRED: "power\n"})
    assert held(root)[1:] == ["2400000", "power"]
    cool(root, 0)
    changed.make({HIGH: "1800000\n", PREFERRED: "power\n"})
    assert held(root)[1:] == ["1800000", "power"]


def refused(name: str) -> Callable[[KernelFiles, str, str], bool]:
    write = KernelFiles.write
    return lambda files, given, content: given != name and write(files, given, content)


def test_what_could_not_be_put_back_is_kept_for_the_next_who_may(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    crash(root, {HIGH: "1800000\n", PREFERRED: "power\n"})
    with patch.object(KernelFiles, "write", refused(HIGH)):
        changes(root).put_back()
    assert held(root)[1:] == ["1800000", "balance_performance"]
    assert len(caplog.records) == 1
    changes(root).put_back()
    assert held(root)[1] == "2400000"


def test_a_file_that_is_gone_is_forgotten(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    crash(root, {HIGH: "1800000\n"})
    (root / HIGH).unlink()
    changes(root).put_back()
    assert not (root / HIGH).exists()
    assert not caplog.records


def test_a_change_explains_what_is_found() -> None:
    change = Change("a\n", ["b\n"])
    assert change.explains("b\n")
    assert change.explains("")
    assert not change.explains("c\n")
    change.settled = False
    assert change.explains("c\n")
