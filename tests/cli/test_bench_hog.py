"""`voicebot bench hog` compares three runs, and refuses users that it can't be."""

from __future__ import annotations

import json
import subprocess
import sys


def bench_hog(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voicebot", "bench", "hog", "fixtures/questions/sum.wav", "--pipeline", "scripted"]
    return subprocess.run([*command, *arguments], text=True, capture_output=True, timeout=300, check=False)


def test_three_runs_are_compared() -> None:
    done = bench_hog("--pairs", "1", "--limit", "1000", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert list(result["arms"]) == ["idle", "hogs", "hogs, no precedence"]
    assert {(arm["turns"], arm["unanswered"]) for arm in result["arms"].values()} == {(1, 0)}
    assert result["ratios"]["hogs"]["p95"] > 0


def test_a_user_that_does_not_exist_is_an_error_of_the_arguments() -> None:
    done = bench_hog("--user", "nobody-at-all")
    assert (done.returncode, done.stdout) == (2, "")
