from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from voicebot.cli.models import app
from voicebot.errors import ModelError, UsageError
from voicebot.models.catalogue import Catalogue

if TYPE_CHECKING:
    from tests.models.conftest import Shop

run = CliRunner()


@pytest.fixture(autouse=True)
def box(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A box whose catalogue, index and hub are the loopback ones."""

    def known(root: Path) -> Catalogue:
        del root
        return shop.catalogue

    monkeypatch.setattr("voicebot.cli.models.load_catalogue", known)
    monkeypatch.setenv("VOICEBOT_MODELS", str(tmp_path / "store"))
    monkeypatch.setenv("PIP_INDEX_URL", f"{shop.web.url}/simple")
    return tmp_path / "store"


def test_pull_without_ids_takes_the_defaults(box: Path) -> None:
    done = run.invoke(app, ["pull", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["models"] == [
        {"id": "voice", "path": str(box / "voice/v.onnx"), "vouched": "catalogue"}
    ]
    assert "voice: installed (known hash)" in done.stderr
    assert " MB" in done.stderr


def test_pull_refuses_before_it_starts(box: Path) -> None:
    unknown = run.invoke(app, ["pull", "voice", "voise"])
    assert isinstance(unknown.exception, UsageError)
    assert not box.exists()
    terms = run.invoke(app, ["pull", "in-parts"])
    assert isinstance(terms.exception, UsageError)
    assert run.invoke(app, ["pull", "in-parts", "--accept-licence"]).exit_code == 0


def test_list_shows_what_there_is() -> None:
    run.invoke(app, ["pull", "voice"])
    models = {model["id"]: model for model in json.loads(run.invoke(app, ["list", "--json"]).stdout)["models"]}
    assert models["voice"]["installed"]
    assert models["voice"]["default"]
    assert not models["from-hub"]["installed"]
    assert models["from-hub"]["vouched"] == "publisher"
    plain = run.invoke(app, ["list"]).stdout
    assert "publisher-vouched" in plain
    assert "Terms of Somebody (to be accepted)" in plain


def test_verify_fails_on_damage(box: Path) -> None:
    run.invoke(app, ["pull", "voice"])
    assert run.invoke(app, ["verify"]).exit_code == 0
    (box / "voice/v.onnx").write_bytes(b"damage")
    damaged = run.invoke(app, ["verify", "--json"])
    assert isinstance(damaged.exception, ModelError)
    assert [file["state"] for file in json.loads(damaged.stdout)["models"]["voice"]] == ["damaged", "ok"]


def test_add_keeps_a_voice_of_ones_own(box: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(b"voice")
    (tmp_path / "mine.onnx.json").write_text("{}")
    added = run.invoke(app, ["add", str(tmp_path / "mine.onnx"), "--engine", "piper", "--json"])
    assert added.exit_code == 0
    assert json.loads(added.stdout)["id"] == "mine"
    assert (box / "mine/mine.onnx").exists()


def test_an_unknown_engine_is_a_usage_error(tmp_path: Path) -> None:
    assert run.invoke(app, ["add", str(tmp_path), "--engine", "abacus"]).exit_code == 2
