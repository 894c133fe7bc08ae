"""`voicebot bench` measures, and exits with 1 beyond a limit."""

from __future__ import annotations

import json
import subprocess
import sys


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voicebot", "bench", *arguments]
    return subprocess.run(command, text=True, capture_output=True, timeout=120, check=False)


def test_a_figure_within_its_limit_is_printed() -> None:
    done = bench("virtual", "--minutes", "0.5", "--limit-s", "60", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["turns"] >= 5


def test_a_figure_beyond_its_limit_is_an_error() -> None:
    done = bench("virtual", "--minutes", "0.5", "--limit-s", "0.000001")
    assert done.returncode == 1
    assert done.stderr.startswith("voicebot: 0.5 minutes took ")


def test_stages_and_recognition_are_measured_on_real_models() -> None:
    done = bench("stages", "fixtures/questions/joke.wav", "--repeats", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"vad", "asr", "slm", "tts"}
    done = bench("asr", "fixtures/human", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["short"]["words"] == result["full"]["words"] > 100
    assert result["short"]["wer"] < 0.15


def test_clips_that_are_not_there_are_named() -> None:
    done = bench("turns", "no-such-folder")
    assert (done.returncode, "no-such-folder" in done.stderr) == (1, True)
