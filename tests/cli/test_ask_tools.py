"""`voicebot ask --tools FILE`: a question that may be answered by calling tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

TIMER: dict[str, Any] = {
    "name": "set_timer",
    "description": "Start a timer.",
    "parameters": {
        "type": "object",
        "properties": {"minutes": {"type": "integer", "minimum": 1, "maximum": 180}},
        "required": ["minutes"],
    },
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tools.json"
    path.write_text(json.dumps([{"type": "function", "function": TIMER}]), "utf-8")
    return path


def test_the_real_model_calls_a_tool(run: Run, file: Path) -> None:
    result = run("ask", "Set a timer for five minutes.", "--tools", file, "--must-call", "--json").json()
    assert (result["reply"], result["source"], result["broken_calls"]) == ("", "slm", [])
    assert [call["name"] for call in result["calls"]] == ["set_timer"] * len(result["calls"])
    assert result["calls"][0]["arguments"] == {"minutes": 5}


def test_a_call_that_is_cut_short_is_told(run: Run, file: Path) -> None:
    done = run("ask", "Set a timer.", "--tools", file, "--must-call", "--max-tokens", 12)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("Broken call: ")
    assert '"name"' in done.err


def test_a_reply_without_calls_is_the_same_as_ever(run: Run, file: Path) -> None:
    done = run("ask", "Who are you?", "--pipeline", "scripted", "--tools", file)
    assert (done.code, done.out, done.err) == (0, "You said: Who are you?.\n", "")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the tools are not valid JSON"),
        (b"[]", "there is no tool in the list"),
        (b"\xff\xfe", "can't be read"),
        (json.dumps([{**TIMER, "name": "set timer"}]).encode(), "tool 1: name: String should match pattern"),
        (json.dumps([{**TIMER, "parameters": {"type": "string"}}]).encode(), '"type" must be "object"'),
    ],
    ids=["empty", "no tools", "no text", "name", "schema"],
)
def test_a_file_without_usable_tools(run: Run, tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "tools.json"
    path.write_bytes(content)
    done = run("ask", "Hello", "--tools", path)
    assert (done.code, done.out) == (2, "")
    assert f"{path}: " in done.err
    assert sentence in done.err


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    done = run("ask", "Hello", "--tools", tmp_path / "none.json")
    assert (done.code, done.out) == (2, "")
    assert "none.json: can't be read" in done.err


def test_a_call_of_nothing(run: Run) -> None:
    done = run("ask", "Hello", "--must-call")
    assert (done.code, done.out) == (2, "")
    assert "--must-call needs --tools FILE" in done.err


def test_a_remote_tier_can_not_be_held_to_a_grammar(run: Run, file: Path, tmp_path: Path) -> None:
    pipeline = tmp_path / "remote.toml"
    scripted = "".join(f'[{stage}]\nengine = "scripted"\n' for stage in ("asr", "slm", "tts", "turn_model"))
    tier = '[[tiers]]\nname = "big"\nengine = "openai"\nmodel = "m"\nurl = "http://127.0.0.1:9/v1"\n'
    pipeline.write_text(scripted + tier)
    done = run("ask", "Hello", "--tools", file, "--tier", "big", "--pipeline", pipeline)
    assert (done.code, done.out) == (2, "")
    assert "the tier 'big' can't be held to a grammar" in done.err
