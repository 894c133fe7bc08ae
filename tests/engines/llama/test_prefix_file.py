"""A computed system prompt is kept whole or not at all, and only for what it was computed with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from voicebot.engines.llama.prefix_file import PrefixFile

STATE = bytes(range(256)) * 40


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    return path


def test_what_was_saved_is_loaded(tmp_path: Path, model: Path) -> None:
    kept = PrefixFile(tmp_path / "new" / "folder", model, "f16", [1, 2, 3])
    assert not kept.exists
    assert kept.load() is None
    kept.save(STATE)
    assert kept.exists
    assert kept.load() == STATE
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 1


def test_it_belongs_to_one_model_one_type_and_one_beginning(tmp_path: Path, model: Path) -> None:
    PrefixFile(tmp_path, model, "f16", [1, 2, 3]).save(STATE)
    assert not PrefixFile(tmp_path, model, "q8_0", [1, 2, 3]).exists
    assert not PrefixFile(tmp_path, model, "f16", [1, 2, 4]).exists
    os.utime(model, ns=(1, 1))
    assert not PrefixFile(tmp_path, model, "f16", [1, 2, 3]).exists


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 1000])
def test_a_damaged_file_is_removed_and_computed_again(
    tmp_path: Path, model: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    kept = PrefixFile(tmp_path, model, "f16", [1])
    kept.save(STATE)
    (file,) = tmp_path.glob("*.state")
    file.write_bytes(damage)
    assert kept.load() is None
    assert "damaged" in caplog.text
    assert not kept.exists


def test_only_a_few_are_kept(tmp_path: Path, model: Path) -> None:
    for token in range(12):
        kept = PrefixFile(tmp_path, model, "f16", [token])
        kept.save(STATE)
        os.utime(next(iter(tmp_path.glob(kept._path.name))), ns=(token, token))
    left = [PrefixFile(tmp_path, model, "f16", [token]).exists for token in range(12)]
    assert sum(left) == 8
    assert all(left[-7:])


def test_a_place_that_can_not_be_written_costs_one_line(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    PrefixFile(tmp_path / "file" / "folder", model, "f16", [1]).save(STATE)
    assert len(caplog.records) == 1
