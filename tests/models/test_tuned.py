"""Tuned weights are used where they are sound, of this file and for this processor, and nowhere else."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from voicebot.errors import ModelError
from voicebot.models.catalogue import MemoryNeed, Model, ModelFile, load_catalogue
from voicebot.models.digest import sha256_of
from voicebot.models.local import install_local
from voicebot.models.manifest import Record, Stamp
from voicebot.models.store import Store
from voicebot.models.tuned import Figures, Speed, Tuned, cpu_name, keep_tuned, read_tuned, tuned_path

SPEED = Speed(prefill_128_ms=100, prefill_16_ms=20, token_ms=5)
WEIGHTS = b"tuned weights" * 100


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one language model, whose file nobody loads."""
    root = tmp_path / "store"
    file = root / "mine" / "m.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"installed weights" * 100)
    model = Model(
        id="mine",
        stage="slm",
        engine="llama",
        title="mine",
        licence="none",
        added=True,
        entry="m.gguf",
        memory=MemoryNeed(weights_mb=500, work_mb=70),
        files=(ModelFile(name="m.gguf", size=file.stat().st_size, sha256=sha256_of(file)),),
    )
    return Store(root, load_catalogue(root).with_models([model]))


def keep(store: Store, cpu: str = "", source_sha256: str = "") -> Path:
    source, sha256 = store.installed("mine")
    fresh = store.root / "fresh.gguf"
    fresh.write_bytes(WEIGHTS)
    figures = Figures(format="Q8_0", size=len(WEIGHTS), speed=SPEED, perplexity=20)
    tuned = Tuned(
        source_sha256=source_sha256 or sha256,
        weights=Record(sha256=sha256_of(fresh), stamp=Stamp.of(fresh)),
        installed=figures.model_copy(update={"format": "as installed"}),
        chosen=figures,
        cpu=cpu or cpu_name(),
        llama_cpp="0.3",
        at=datetime.now(UTC),
    )
    keep_tuned(store.root, "mine", source, fresh, tuned)
    return tuned_path(source)


def test_tuned_weights_are_what_the_engine_is_given(store: Store) -> None:
    installed = store.path("mine")
    tuned = keep(store)
    assert installed.name == "m.gguf"
    assert tuned == installed.with_name("m.tuned.gguf")
    assert store.path("mine") == tuned
    assert store.installed("mine")[0] == installed
    assert store.as_used().model("mine").memory.weights_mb == pytest.approx(len(WEIGHTS) / 1e6)
    assert store.catalogue.model("mine").memory.weights_mb == 500
    assert [(s.name, s.state, s.vouched) for s in store.verify("mine")] == [
        ("m.gguf", "ok", "you"),
        ("m.tuned.gguf", "ok", "box"),
    ]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"cpu": "an abacus"}, "chosen for another processor (an abacus)"),
        ({"source_sha256": "0" * 64}, "made of another file"),
    ],
)
def test_another_processor_or_source_runs_as_installed(
    store: Store, wrong: dict[str, str], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    keep(store, **wrong)
    with caplog.at_level(logging.WARNING, "voicebot.models"):
        assert store.path("mine").name == "m.gguf"
    (line,) = caplog.messages
    assert why in line
    assert "voicebot models tune mine" in line
    assert store.tuned("mine") is None
    assert store.as_used().model("mine").memory.weights_mb == 500


def test_a_damaged_or_lost_file_is_not_used(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    tuned = keep(store)
    tuned.write_bytes(WEIGHTS[::-1])
    assert store.path("mine").name == "m.gguf"
    assert store.verify("mine")[1].state == "damaged"
    tuned.unlink()
    assert store.path("mine").name == "m.gguf"
    assert store.verify("mine")[1].state == "missing"
    assert ["damaged" in caplog.messages[0], "missing" in caplog.messages[1]] == [True, True]


def test_a_file_that_only_looks_changed_is_hashed_once(store: Store) -> None:
    tuned = keep(store)
    os.utime(tuned, ns=(1, 1))
    assert store.path("mine") == tuned
    record = read_tuned(store.root, "mine")
    assert record is not None
    assert record.weights.stamp == Stamp.of(tuned)


def test_a_record_that_cannot_be_read_is_none(store: Store) -> None:
    keep(store)
    (store.root / ".tuned/mine.json").write_text('{"half')
    assert store.path("mine").name == "m.gguf"
    assert store.tuned("mine") is None


def test_undo_leaves_nothing(store: Store) -> None:
    tuned = keep(store)
    assert store.untune("mine")
    assert not tuned.exists()
    assert read_tuned(store.root, "mine") is None
    assert store.path("mine").name == "m.gguf"
    assert not store.untune("mine")


def test_a_disk_that_refuses_leaves_the_installed_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("voicebot.models.tuned.put_in_place", full)
    with pytest.raises(ModelError, match="No space left on device"):
        keep(store)
    assert store.path("mine").name == "m.gguf"
    assert read_tuned(store.root, "mine") is None


def test_a_copied_folder_is_added_without_its_tuned_file(store: Store, tmp_path: Path, gguf_file: Path) -> None:
    folder = tmp_path / "copied"
    folder.mkdir()
    (folder / "m.gguf").symlink_to(gguf_file)
    (folder / "m.tuned.gguf").write_bytes(WEIGHTS)
    added = install_local(store.root, folder, "copied", "slm", "llama", "none", link=True)
    assert [file.name for file in added.files] == ["m.gguf"]


@pytest.fixture(scope="module")
def gguf_file() -> Path:
    root = Store.default_root()
    return Store(root, load_catalogue(root)).installed("smollm2-135m-instruct-q4_1")[0]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: A Fast One\nprocessor\t: 1\nmodel name\t: A Fast One\n", "A Fast One"),
        ("processor : 0\nCPU part : 0xd05\nprocessor : 4\nCPU part : 0xd0b\nCPU part : 0xd05\n", "0xd05, 0xd0b"),
    ],
)
def test_a_processor_is_known_by_its_name_or_its_parts(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_name(tmp_path / "cpuinfo") == f"{os.uname().machine} {name}"
    assert cpu_name(tmp_path / "none") == os.uname().machine
