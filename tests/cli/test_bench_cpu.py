"""`voicebot bench cpu` measures real models, and keeps what it has learnt where the daemon finds it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from voicebot.config.load import load_settings
from voicebot.daemon import cost_keys
from voicebot.latency.fits import read_fits
from voicebot.workers.threads import Threads


def bench_cpu(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voicebot", "bench", "cpu", "fixtures/questions/joke.wav", "--cores", "1"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.run(
        [*command, *arguments], text=True, capture_output=True, timeout=120, check=False, env=environment
    )


def test_real_models_are_measured_and_the_fit_is_kept(tmp_path: Path) -> None:
    done = bench_cpu(tmp_path, "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    rows = {row["stage"]: row for row in result["rows"]}
    assert set(rows) == {"asr", "slm_read", "slm", "tts_first", "tts", "turn"}
    assert all((row["cores"], row["speed_up"]) == (1, 1.0) and row["p50_ms"] > 0 for row in rows.values())
    keys = cost_keys(load_settings("assistant", "voicebot").pipeline, Threads(1, 1, 1, 1), in_cycles=False)
    kept = read_fits(Path(result["kept_in"]))
    assert result["in_cycles"] or set(kept) == set(keys.values())
    assert {round(cost.gcycles_per_unit, 6) for cost in kept.values()} == {
        row["cost"]["gcycles_per_unit"] for row in rows.values() if row["cost"]
    }


def test_scripted_engines_leave_nothing_behind(tmp_path: Path) -> None:
    done = bench_cpu(tmp_path, "--rounds", "1", "--pipeline", "scripted")
    assert done.returncode == 0, done.stderr
    assert "speed-up" in done.stdout
    assert not list(tmp_path.rglob("costs.json"))


def test_a_core_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = bench_cpu(tmp_path, "--cores", "1000")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("voicebot: there is no core 1000; ")
