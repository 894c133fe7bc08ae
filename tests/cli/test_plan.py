from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.testing import CliRunner, Result

from voicebot.cli.common import load, open_store
from voicebot.cli.plan import plan
from voicebot.errors import ModelError, UsageError
from voicebot.memory import check_memory, memory_plan

if TYPE_CHECKING:
    from tests.cli.conftest import Box

ROOT = Path(__file__).parents[2]

app = typer.Typer()
app.command()(plan)


@pytest.fixture(autouse=True)
def available(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr("voicebot.memory.available_memory_mb", lambda: 8000.0)
    return 8000.0


def run(box: Box, *arguments: str, pipeline: str = "default") -> Result:
    return CliRunner().invoke(app, ["--pipeline", str(box.folder / f"{pipeline}.toml"), *arguments])


def planned(box: Box, *arguments: str, pipeline: str = "default") -> dict[str, Any]:
    done = run(box, "--json", *arguments, pipeline=pipeline)
    assert done.exit_code == 0, done.exception
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_the_plan_adds_up(box: Box) -> None:
    result = planned(box)
    assert [(model["id"], model["stage"]) for model in result["models"]] == [
        ("whisper-tiny.en", "asr"),
        ("smollm2-135m-instruct-q4_1", "slm"),
        ("piper-en_US-joe-medium", "tts"),
        ("smart-turn-v3.2", "turn"),
    ]
    split = result["split"]
    for part in ("weights_mb", "kv_mb", "work_mb"):
        assert split[part] == pytest.approx(sum(model[part] for model in result["models"]))
    assert result["needed_mb"] == pytest.approx(sum(split.values()))
    assert result["available_mb"] == 8000
    assert result["fits"]
    assert result["refusal"] == ""
    assert result["formula"].startswith("weights + KV")
    assert result["reference_split"] == {"weights_mb": 1500, "kv_mb": 1000, "audio_mb": 500, "work_mb": 1000}


def test_context_and_sessions_are_what_the_cache_grows_with(box: Box) -> None:
    """One session has a second context, for what the assistant writes for itself."""
    once, more = planned(box), planned(box, "--context", "4096", "--sessions", "3")
    assert (once["context_tokens"], once["sessions"]) == (2048, 1)
    assert (more["context_tokens"], more["sessions"]) == (4096, 3)
    assert more["split"]["kv_mb"] == pytest.approx(3 * once["split"]["kv_mb"], abs=0.5)
    assert more["split"]["audio_mb"] == 3 * once["split"]["audio_mb"]
    assert more["split"]["weights_mb"] == once["split"]["weights_mb"]


def test_a_second_model_of_a_stage_is_counted(box: Box) -> None:
    plain = planned(box)
    box.pipeline("second", '[asr]\nsecond_model = "whisper-base"\n[slm]\ncontext_tokens = 2048\n')
    result = planned(box, pipeline="second")
    assert [model["id"] for model in result["models"] if model["stage"] == "asr"] == ["whisper-tiny.en", "whisper-base"]
    assert result["needed_mb"] - plain["needed_mb"] == pytest.approx(215, abs=1)


def test_a_model_replaces_that_of_its_stage(box: Box) -> None:
    result = planned(box, "--model", "qwen3-0.6b-q8_0", "--model", "whisper-base")
    assert {model["stage"]: model["id"] for model in result["models"]} == {
        "asr": "whisper-base",
        "slm": "qwen3-0.6b-q8_0",
        "tts": "piper-en_US-joe-medium",
        "turn": "smart-turn-v3.2",
    }


def test_two_models_of_a_stage_are_both_counted_once(box: Box) -> None:
    tiers = ["qwen3-0.6b-q8_0", "qwen3-1.7b-q8_0", "qwen3-0.6b-q8_0"]
    result = planned(box, *(word for tier in tiers for word in ("--model", tier)))
    assert [model["id"] for model in result["models"] if model["stage"] == "slm"] == tiers[:2]


def test_a_replaced_model_need_not_be_known(box: Box) -> None:
    box.pipeline("default", '[slm]\nmodel = "gone"')
    assert isinstance(run(box).exception, UsageError)
    assert planned(box, "--model", "qwen3-0.6b-q8_0")["fits"]


def test_what_cannot_fit_is_shown_and_refused_with_numbers(box: Box) -> None:
    profile = box.profile("[memory]\nlimit_mb = 3400")
    done = run(box, "--json", "--profile", profile, "--model", "qwen3-4b-q4_k_m")
    assert isinstance(done.exception, ModelError)
    assert done.exception.exit_code == 1
    result = json.loads(done.stdout)
    assert not result["fits"]
    assert result["available_mb"] == 3400
    assert result["refusal"] == str(done.exception)
    need = rf"need {result['needed_mb']:.0f} MB \(.*qwen3-4b-q4_k_m \d+.*\)"
    assert re.search(rf"{need} where 3400 MB are available; use qwen3-1\.7b-q8_0 \(\d+ MB\)", result["refusal"])


def test_the_box_may_have_less_than_its_limit(box: Box, available: float) -> None:
    assert planned(box, "--profile", box.profile("[memory]\nlimit_mb = 9000"))["available_mb"] == available


def test_people_see_a_table_and_the_split_of_4_gb(box: Box) -> None:
    result = planned(box, "--sessions", "2")
    shown = run(box, "--sessions", "2").stdout
    lines = {line.split("  ")[0]: re.findall(r"\d+(?=\s|$)", line.partition("  ")[2]) for line in shown.splitlines()}
    assert len(result["models"]) == 4
    for model in result["models"]:
        needs = [model["weights_mb"], model["kv_mb"], model["work_mb"], model["total_mb"]]
        assert list(map(int, lines[model["id"]])) == pytest.approx(needs, abs=0.6)
    assert list(map(int, lines["conversations: 2 x 2048 tokens"])) == [result["split"]["audio_mb"]] * 2
    assert list(map(int, lines["all"])) == pytest.approx([*result["split"].values(), result["needed_mb"]], abs=0.6)
    assert lines["the split of a 4 GB box"] == ["1500", "1000", "500", "1000", "4000"]
    assert f"{result['needed_mb']:.0f} MB of 8000 MB available: it fits." in shown
    assert result["formula"] in shown


def test_people_see_the_table_of_a_refusal_too(box: Box) -> None:
    done = run(box, "--profile", box.profile("[memory]\nlimit_mb = 500"))
    assert "MB of 500 MB available: it does not fit." in done.stdout
    assert isinstance(done.exception, ModelError)


def test_a_pipeline_without_models_has_no_plan(box: Box) -> None:
    assert isinstance(run(box, pipeline="scripted").exception, UsageError)
    assert [m["id"] for m in planned(box, "--model", "whisper-base", pipeline="scripted")["models"]] == ["whisper-base"]


@pytest.mark.parametrize("wrong", [["--sessions", "0"], ["--context", "100"], ["--context", "much"]])
def test_numbers_out_of_range_are_usage_errors(box: Box, wrong: list[str]) -> None:
    assert run(box, *wrong).exit_code == 2


def test_an_unknown_model_is_a_usage_error_before_anything_is_printed(box: Box) -> None:
    done = run(box, "--json", "--model", "qwen3-4b")
    assert isinstance(done.exception, UsageError)
    assert "did you mean qwen3-4b-q4_k_m?" in str(done.exception)
    assert done.stdout == ""


def test_starting_is_refused_with_a_smaller_model(box: Box) -> None:
    pipeline = box.pipeline("large", '[slm]\nmodel = "qwen3-4b-q4_k_m"')
    settings = load(pipeline, box.profile("[memory]\nlimit_mb = 1000"))
    with pytest.raises(ModelError, match=r"alone has 2497 MB of weights where 1000 MB are available; use "):
        check_memory(settings, open_store(settings))


def test_scripted_engines_always_start(box: Box) -> None:
    settings = load(str(box.folder / "scripted.toml"), box.profile("[memory]\nlimit_mb = 1"))
    store = open_store(settings)
    check_memory(settings, store)
    assert memory_plan(settings, store).rows == ()


def test_the_program_prints_one_object_and_exits_with_1(box: Box) -> None:
    profile = box.profile("[memory]\nlimit_mb = 300")
    command = [sys.executable, "-m", "voicebot", "plan", "--json", "--profile", profile]
    command += ["--pipeline", str(box.folder / "default.toml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"voicebot: {json.loads(done.stdout)['refusal']}\n"
