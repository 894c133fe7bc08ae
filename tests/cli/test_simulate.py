"""`voicebot simulate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from voicebot.sim import plots

if TYPE_CHECKING:
    from tests.cli.conftest import Run

QUICK = ("simulate", "--minutes", 1.5, "--governor", "voicebot", "--governor", "performance")


def test_it_compares_the_governors(run: Run) -> None:
    result = run(*QUICK, "--json").json()
    assert {key: result[key] for key in ("schema", "box", "model", "users", "minutes", "seed")} == {
        "schema": 1,
        "box": "rk3588",
        "model": "1.5B Q4",
        "users": 1,
        "minutes": 1.5,
        "seed": 1,
    }
    ours, fastest = result["rows"]
    assert (ours["name"], fastest["name"]) == ("voicebot", "performance")
    assert ours["turns"] == fastest["turns"] > 1
    assert ours["turn_j"] < fastest["turn_j"]
    assert result["front"] == ["performance"]
    energy = result["verdict"]["energy"]["performance"]
    assert energy == pytest.approx(ours["turn_j"] / fastest["turn_j"] - 1, abs=1e-3)
    assert result["memory"]["asked_tokens_s"] == 2
    assert run(*QUICK, "--json").json() == result
    assert run(*QUICK, "--json", "--seed", 2).json()["rows"] != result["rows"]


def test_people_see_tables(run: Run) -> None:
    done = run(*QUICK, "--box", "x86", "--users", 2, "--model-b", 0.135, "--gains")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "x86_8core, 135M Q4_1, 2 users for 1.5 minutes, seed 1"
    assert any(line.startswith("voicebot is ") for line in lines)
    assert any(line.startswith("voicebot without idle clamp") for line in lines)
    assert "worst/best" in done.out
    assert "the memory allows" in done.out


def test_each_parameter_is_varied(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicebot.sim.sensitivity.variations.__defaults__", (("uncore_w",),))
    words = (*QUICK, "--vary", 30)
    found = run(*words, "--json").json()["variations"]
    assert [(each["parameter"], each["factor"]) for each in found] == [("uncore_w", 0.7), ("uncore_w", 1.3)]
    assert found[0]["turn_j"] < found[1]["turn_j"]
    shown = run(*words).out
    assert "p95, performance" in shown
    assert sum(line.startswith("uncore_w") for line in shown.splitlines()) == 2


def test_it_switches_gains_off(run: Run) -> None:
    rows = run(*QUICK, "--without", "idle clamp", "--without", "paced synthesis", "--json").json()["rows"]
    assert rows[0]["name"] == "voicebot without idle clamp and paced synthesis"


def test_it_draws(run: Run, tmp_path: Path) -> None:
    result = run(*QUICK, "--plots", tmp_path / "plots", "--json").json()
    assert len(result["plots"]) == 6
    assert all(Path(file).is_file() for file in result["plots"])


def test_without_matplotlib_nothing_is_simulated(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda _name: None)
    run("simulate", "--plots", "plots").failed(
        1, "plots need matplotlib; install it with: pip install 'voicebot[plots]'."
    )


def test_it_predicts_a_replay(run: Run, tmp_path: Path) -> None:
    marks = {"soft_end": 60, "asr_final": 150, "committed": 300, "slm_first_token": 200, "slm_first_clause": 280}
    marks |= {"tts_first_audio": 330, "audible": 350}
    turn = {"user": "how are you", "reply": "Fine.", "source": "slm", "interrupted": False, "marks_ms": marks}
    file = tmp_path / "replay.json"
    file.write_text(json.dumps({"turns": [turn, turn]}))
    result = run("simulate", "--validate", file, "--json").json()
    assert (result["cores"], result["turns"]) == (2, 2)
    assert result["ms"]["voice to voice"]["p50"]["measured"] == 350
    assert result["ms"]["voice to voice"]["p50"]["predicted"] > 300
    shown = run("simulate", "--validate", file, "--cores", 1).out
    assert shown.startswith("2 turns on 1 core\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--model-b", "3"), "there is no model of 3; there are 0.135, 1.5, 2."),
        (("--vary", "30", "--governor", "voicebot"), "--vary compares voicebot, named first, with at least one other."),
    ],
)
def test_wrong_words_are_usage_errors(run: Run, words: tuple[str, ...], sentence: str) -> None:
    run("simulate", *words).failed(2, sentence)


def test_unknown_names_are_usage_errors(run: Run) -> None:
    assert run("simulate", "--governor", "fast").code == 2
    assert run("simulate", "--without", "luck").code == 2
    assert run("simulate", "--box", "mainframe").code == 2
    assert run("simulate", "--users", 0).code == 2


def test_a_missing_replay_is_an_error(run: Run) -> None:
    assert run("simulate", "--validate", "nothing.json").code == 1
