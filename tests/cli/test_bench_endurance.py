"""`voicebot bench endurance` prints, draws, and exits with 1 where something grows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def endurance(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voicebot", "bench", "endurance", *arguments]
    return subprocess.run(command, text=True, capture_output=True, timeout=300, check=False)


def test_a_virtual_conversation_is_printed_and_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "day.png"
    done = endurance("--virtual-hours", "0.1", "--limit-mb", "1000", "--plot", str(picture), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["events"]["turns"] > 10
    assert len(result["series"]["rss_mb"]) >= result["samples"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_real_workers_are_watched_and_a_few_seconds_are_too_little_to_judge() -> None:
    done = endurance("--minutes", "0.1", "--limit-mb", "100000")
    assert done.returncode == 1
    assert "too few to judge" in done.stderr
    assert all(stage in done.stdout for stage in ("asr", "slm", "tts", "turn"))


def test_how_long_has_to_be_said_once() -> None:
    for arguments in ((), ("--minutes", "1", "--virtual-hours", "1")):
        done = endurance(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "voicebot: say how long: either --minutes or --virtual-hours.\n"
