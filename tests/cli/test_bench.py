"""`voicebot bench` measures, and exits with 1 beyond a limit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


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
    assert set(json.loads(done.stdout)) == {"vad", "asr", "turn", "slm", "tts"}
    done = bench("asr", "fixtures/human", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["short"]["words"] == result["full"]["words"] > 100
    assert result["short"]["wer"] < 0.15


def test_clips_that_are_not_there_are_named() -> None:
    done = bench("turns", "no-such-folder")
    assert (done.returncode, "no-such-folder" in done.stderr) == (1, True)


def test_pauses_are_made_and_said_to_real_models() -> None:
    done = bench("pauses", "fixtures/questions/sum.wav", "--count", "1", "--limit-percent", "100", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["pauses"] == 1
    assert set(result) >= {"false_cut_in_share", "in_one_turn_share", "voice_to_voice_ms"}


def test_scenarios_are_taken_together() -> None:
    names = ("questions", "hesitate-timer", "silence")
    files = [f"fixtures/scenarios/{name}.toml" for name in names]
    done = bench("turns", *files, "--pipeline", "scripted", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [Path(scenario["file"]).stem for scenario in result["scenarios"]] == list(names)
    taking = result["turn_taking"]
    assert (taking["conversations"], taking["requests"], taking["missed_ends"]) == (3, 4, 0)
    assert (taking["false_cut_ins"], taking["false_interruptions"]) == (0, 0)
    assert taking["endpoint_ms"]["p50"] > 0
    assert result["heard"] is None
    assert result["summary"]["turns"] == 4


def test_questions_and_scenarios_may_be_given_together() -> None:
    done = bench(
        "turns", "fixtures/questions/sum.wav", "fixtures/scenarios/silence.toml", "--turns", "2", "--p50-ms", "1",
        "--pipeline", "scripted", "--json",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.endswith("\nvoicebot: over the limit: voice_to_voice_p50_ms.\n")
    result = json.loads(done.stdout)
    assert (result["summary"]["turns"], result["figures"]["unanswered"]) == (2, 0)
    assert [scenario["met"] for scenario in result["scenarios"]] == [True]
