"""`voicebot models tune` as it is typed, on the real small model with one format and one round."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from voicebot.cli.models import app
from voicebot.errors import ModelError, UsageError
from voicebot.models.catalogue import load_catalogue
from voicebot.models.store import Store

MODEL = "smollm2-135m-instruct-q4_1"
FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture
def box(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of the test's own, with a link to the real model."""
    real = store.installed(MODEL)[0]
    root = tmp_path / "store"
    (root / MODEL).mkdir(parents=True)
    (root / MODEL / real.name).symlink_to(real)
    for name in ("perplexity.txt", "calibration.txt"):
        (tmp_path / name).write_text((FIXTURES / name).read_text("utf-8")[:1400])
    monkeypatch.setattr("voicebot.cli.tune._SHIPPED", (tmp_path,))
    monkeypatch.setenv("VOICEBOT_MODELS", str(root))
    # A slow minute may not decide the test.
    monkeypatch.setattr("voicebot.models.format_choice.LEAST_GAIN", -math.inf)
    return Store(root, load_catalogue(root))


@pytest.fixture
def tune(box: Store) -> Callable[..., Result]:
    def run_tune(*arguments: str) -> Result:
        short = ["--format", "Q8_0", "--rounds", "1", "--most-loss", "0.1"]
        return run("tune", MODEL, *short, *arguments)

    del box
    return run_tune


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def listed() -> dict[str, Any]:
    models: list[dict[str, Any]] = json.loads(run("list", "--json").stdout)["models"]
    (found,) = [model for model in models if model["id"] == MODEL]
    return found


def test_tuning_is_shown_listed_verified_and_undone(box: Store, tune: Callable[..., Result]) -> None:
    assert listed()["format"] == ""
    done = tune("--json")
    assert done.exit_code == 0, done.exception
    result = json.loads(done.stdout)
    installed, q8_0 = result["formats"]
    assert [row["format"] for row in (installed, q8_0)] == ["as installed", "Q8_0"]
    assert (result["chosen"], q8_0["chosen"], installed["chosen"]) == ("Q8_0", True, False)
    assert installed["loss"] == 0
    assert abs(q8_0["loss"]) < 0.02
    assert min(q8_0[name] for name in ("prefill_128_ms", "prefill_16_ms", "token_ms", "turn_ms")) > 0
    assert f"{MODEL}: Q8_0: writing and measuring" in done.stderr
    # Every command knows of it.
    path = Path(result["path"])
    assert path == box.path(MODEL)
    assert path.name.endswith(".tuned.gguf")
    assert path.stat().st_size == q8_0["size"]
    assert listed()["format"] == "Q8_0"
    assert listed()["memory"]["weights_mb"] == pytest.approx(q8_0["size"] / 1e6)
    assert "Q8_0" in run("list").stdout
    assert "made here" in run("verify", MODEL).stdout
    path.write_bytes(b"damage")
    damaged = run("verify", MODEL)
    assert isinstance(damaged.exception, ModelError)
    assert f"run `voicebot models tune {MODEL}`" in str(damaged.exception)
    # And forgets it.
    undone = run("tune", MODEL, "--undo", "--json")
    assert json.loads(undone.stdout) == {"model": MODEL, "undone": True}
    assert not path.exists()
    assert run("verify", MODEL).exit_code == 0
    assert "was not tuned" in run("tune", MODEL, "--undo").stdout


def test_the_table_has_what_was_measured(tune: Callable[..., Result]) -> None:
    done = tune()
    assert done.exit_code == 0, done.exception
    head, *rows = done.stdout.splitlines()
    assert " ".join(head.split()) == "format MB prefill 128 prefill 16 ms per token turn ms perplexity loss"
    assert [row.split("  ")[0] for row in rows] == ["as installed", "Q8_0"]
    assert [row.rstrip().endswith("chosen") for row in rows] == [False, True]
    assert " 145 " in rows[1]


def test_an_interrupt_says_that_nothing_changed(
    box: Store, tune: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("voicebot.models.tune.requantise", interrupted)
    done = tune()
    assert done.exit_code != 0
    assert f"voicebot: interrupted; {MODEL} is as it was before." in done.stderr
    assert box.path(MODEL) == box.installed(MODEL)[0]


def test_only_language_models_and_known_formats(box: Store) -> None:
    del box
    assert isinstance(run("tune", "whisper-tiny.en").exception, UsageError)
    wrong = run("tune", MODEL, "--format", "Q3")
    assert isinstance(wrong.exception, UsageError)
    assert "there is no format Q3; there are Q8_0; " in str(wrong.exception)
    assert run("tune", MODEL, "--rounds", "0").exit_code == 2
