"""`voicebot bench slm` measures the parts that are named, and says which figures are beyond their limits."""

from __future__ import annotations

import json

from tests.cli.test_bench import bench


def test_two_parts_are_measured_and_their_limits_are_said() -> None:
    done = bench("slm", "memory", "start", "--repeats", "1", "--json")
    result = json.loads(done.stdout)
    assert (result["schema"], result["repeats"], list(result["parts"])) == (1, 1, ["memory", "start"])
    kinds = {row["cells"]: row for row in result["parts"]["memory"]["keys and values"]}
    assert kinds["q8_0"]["bytes per token"] < 0.6 * kinds["f16"]["bytes per token"]
    starts = result["parts"]["start"]["cold start"]
    assert [row["start"] for row in starts] == ["system prompt computed", "system prompt saved"]
    assert min(row["p50 s"] for row in starts) > 0
    assert result["missed"] == [
        f"{name}: {limit['figure']}"
        for name, part in result["parts"].items()
        for limit in part["limits"]
        if not limit["met"]
    ]
    assert done.returncode == (1 if result["missed"] else 0), done.stderr
    assert ("over the limit" in done.stderr) == bool(result["missed"])


def test_a_part_that_does_not_exist_is_refused() -> None:
    done = bench("slm", "everything")
    assert (done.returncode, "first-token" in done.stderr) == (2, True)


def test_a_pipeline_without_a_language_model_has_nothing_to_measure() -> None:
    done = bench("slm", "--pipeline", "scripted")
    assert (done.returncode, "no language model" in done.stderr) == (2, True)
