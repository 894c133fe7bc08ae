from __future__ import annotations

import re
from pathlib import Path

import pytest

from voicebot.errors import ConfigError, UsageError
from voicebot.models.catalogue import HubSource, load_catalogue, parse_catalogue

REPOSITORY = Path(__file__).parents[2]

ONE_MODEL = """
schema_version = 1
[[models]]
id = "m"
stage = "slm"
engine = "llama"
title = "M"
licence = "MIT"
entry = "m.gguf"
memory = { weights_mb = 1, work_mb = 1 }
[[models.files]]
name = "m.gguf"
size = 1
sha256 = "publisher"
sources = [{ hub = "a/b", path = "m.gguf" }]
"""


def test_the_packaged_catalogue_is_sound(tmp_path: Path) -> None:
    catalogue = load_catalogue(tmp_path)
    assert catalogue.defaults == {
        "asr": "whisper-tiny.en",
        "slm": "smollm2-135m-instruct-q4_1",
        "tts": "piper-en_US-joe-medium",
        "turn": "smart-turn-v3.2",
    }
    for model in catalogue.models.values():
        assert model.licence
        assert model.languages
        assert model.memory.weights_mb + model.memory.work_mb < 4000
        assert (model.memory.kv_bytes_per_token > 0) == (model.stage == "slm")
        for file in model.files:
            assert file.sources
            assert re.fullmatch("[0-9a-f]{64}|publisher", file.sha256)


def test_defaults_have_known_hashes_and_a_second_source(tmp_path: Path) -> None:
    catalogue = load_catalogue(tmp_path)
    for stage, model_id in catalogue.defaults.items():
        model = catalogue.model(model_id)
        assert model.stage == stage
        assert model.vouched == "catalogue"
        assert not model.accept_licence
        assert all(isinstance(file.sources[1], HubSource) for file in model.files)


def test_kv_cost_is_that_of_the_architecture(tmp_path: Path) -> None:
    models = load_catalogue(tmp_path).models
    assert models["smollm2-135m-instruct-q4_1"].memory.kv_bytes_per_token == 2 * 30 * 3 * 64 * 2
    assert models["qwen3-0.6b-q8_0"].memory.kv_bytes_per_token == 2 * 28 * 8 * 128 * 2
    assert models["gemma-3-270m-q4_k_m"].memory.kv_bytes_per_token == 2 * 18 * 1 * 256 * 2


def test_gemma_is_opt_in(tmp_path: Path) -> None:
    gemmas = [model for model in load_catalogue(tmp_path).models.values() if "gemma" in model.id]
    assert len(gemmas) == 3
    assert all(model.accept_licence and model.licence_url for model in gemmas)


def test_no_file_names_the_host_of_a_package_registry() -> None:
    host = re.compile(r"pypi\.o" r"rg|python" r"hosted", re.IGNORECASE)
    ours = [*(REPOSITORY / "voicebot/models").iterdir(), REPOSITORY / "docs/models.md"]
    assert [path.name for path in ours if path.is_file() and host.search(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(("wrong", "near"), [("whisper-tiny", "whisper-tiny.en"), ("qwen3-4b", "qwen3-4b-q4_k_m")])
def test_an_unknown_id_names_the_nearest(tmp_path: Path, wrong: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean {re.escape(near)}"):
        load_catalogue(tmp_path).model(wrong)


def test_an_id_like_no_other_points_to_the_list(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="models list"):
        load_catalogue(tmp_path).model("zzzz")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('name = "m.gguf"', 'name = "../m.gguf"', "plain relative path"),
        ('name = "m.gguf"', 'name = "/etc/passwd"', "plain relative path"),
        ('path = "m.gguf"', 'path = "a/../../m.gguf"', "plain relative path"),
        ('entry = "m.gguf"', 'entry = "other"', "none of its files"),
        ('engine = "llama"', 'engine = "piper"', "does the tts stage"),
        ('id = "m"', 'id = "../m"', "pattern"),
        ("size = 1", "size = 0", "greater than 0"),
        ('sha256 = "publisher"', 'sha256 = "abc"', "sha256"),
        ("schema_version = 1", "schema_version = 2", "schema_version"),
        ("schema_version = 1", "schema_version = 1\n[defaults]\nslm = 'absent'", "absent"),
        ('{ hub = "a/b", path = "m.gguf" }', '{ parts = [{ wheel = "w", member = "m" }] }', "only a hub"),
        ("schema_version", "schema version", "not valid TOML"),
        ('title = "M"', 'title = "M"\ntitel = "M"', "titel"),
    ],
)
def test_a_wrong_catalogue_says_where(old: str, new: str, complaint: str) -> None:
    assert parse_catalogue(ONE_MODEL).model("m").vouched == "publisher"
    with pytest.raises(ConfigError, match=complaint) as caught:
        parse_catalogue(ONE_MODEL.replace(old, new, 1), "mine.toml")
    assert "mine.toml" in str(caught.value)


def test_the_users_own_models_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "added.toml").write_text(ONE_MODEL)
    assert load_catalogue(tmp_path).model("m").title == "M"
    (tmp_path / "added.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"added\.toml cannot be read"):
        load_catalogue(tmp_path)
