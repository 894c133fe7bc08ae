"""A voice of the store has its parts beside it: made when it comes, and again when they are no longer its own."""

from __future__ import annotations

import errno
import logging
import os
import threading
from pathlib import Path
from typing import Any, NoReturn

import onnx
import pytest

from tests.miniature_voice import miniature_voice, write_voice
from voicebot.errors import ModelError
from voicebot.models import vocoder_cut
from voicebot.models.catalogue import load_catalogue
from voicebot.models.store import Store

PARTS = ["v.decoder.onnx", "v.encoder.onnx"]


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each voice had that was cut."""
    made: list[int] = []
    cut_voice = vocoder_cut.cut_voice

    def counted(voice: bytes) -> vocoder_cut.Parts:
        made.append(len(voice))
        return cut_voice(voice)

    monkeypatch.setattr(vocoder_cut, "cut_voice", counted)
    return made


@pytest.fixture
def voice_store(tmp_path: Path) -> Store:
    root = tmp_path / "store"
    return Store(root, load_catalogue(root))


def add(store: Store, folder: Path, content: onnx.ModelProto | bytes) -> Path:
    """Add a voice and return its folder in the store."""
    store.add(write_voice(folder, content), "mine", "tts", "piper", "none")
    return store.path("mine").parent


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_voice_is_cut_when_it_comes_and_not_again(voice_store: Store, tmp_path: Path, cuts: list[int]) -> None:
    folder = add(voice_store, tmp_path / "mine", miniature_voice())
    assert names(folder) == [PARTS[0], PARTS[1], "v.onnx", "v.onnx.json"]
    for part in PARTS:
        onnx.checker.check_model(onnx.load(folder / part))
    assert voice_store.path("mine") == folder / "v.onnx"
    assert [status.name for status in voice_store.verify("mine")] == ["v.onnx", "v.onnx.json"]
    assert len(cuts) == 1


def test_an_older_stores_voice_is_cut_at_its_first_use(voice_store: Store, tmp_path: Path, cuts: list[int]) -> None:
    folder = add(voice_store, tmp_path / "mine", miniature_voice())
    (voice_store.root / ".voice-parts/mine.json").unlink()
    for part in PARTS:
        (folder / part).unlink()
    voice_store.path("mine")
    assert set(PARTS) <= set(names(folder))
    assert len(cuts) == 2


@pytest.mark.parametrize("part", PARTS)
def test_a_damaged_part_is_made_again(voice_store: Store, tmp_path: Path, part: str) -> None:
    folder = add(voice_store, tmp_path / "mine", miniature_voice())
    sound = (folder / part).read_bytes()
    then = (folder / part).stat().st_mtime_ns
    for damage in (b"", sound[: len(sound) // 2], sound[::-1]):
        (folder / part).write_bytes(damage)
        os.utime(folder / part, ns=(1, 1))
        voice_store.path("mine")
        assert (folder / part).read_bytes() == sound
    (folder / part).unlink()
    voice_store.path("mine")
    assert (folder / part).read_bytes() == sound
    # Behind an unchanged stamp only `verify` sees it.
    record = (folder / part).stat()
    with (folder / part).open("r+b") as file:
        file.write(b"\xff" * 8)
    os.utime(folder / part, ns=(then, record.st_mtime_ns))
    voice_store.path("mine")
    assert (folder / part).read_bytes() != sound
    assert {status.state for status in voice_store.verify("mine")} == {"ok"}
    assert (folder / part).read_bytes() == sound


def test_parts_that_were_copied_are_kept(voice_store: Store, tmp_path: Path, cuts: list[int]) -> None:
    folder = add(voice_store, tmp_path / "mine", miniature_voice())
    for part in PARTS:
        os.utime(folder / part, ns=(1, 1))
    voice_store.path("mine")
    assert len(cuts) == 1


def test_another_voice_gets_its_own_parts(voice_store: Store, tmp_path: Path) -> None:
    folder = add(voice_store, tmp_path / "one", miniature_voice())
    first = [(folder / part).read_bytes() for part in PARTS]
    add(voice_store, tmp_path / "two", miniature_voice(speakers=3))
    assert all((folder / part).read_bytes() != before for part, before in zip(PARTS, first, strict=True))
    add(voice_store, tmp_path / "three", b"something that is no graph")
    assert names(folder) == ["v.onnx", "v.onnx.json"]


def test_a_voice_that_cannot_be_cut_works_whole_and_is_tried_once(
    voice_store: Store, tmp_path: Path, cuts: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "voicebot.models"):
        folder = add(voice_store, tmp_path / "mine", b"something that is no graph")
        voice_store.path("mine")
    assert names(folder) == ["v.onnx", "v.onnx.json"]
    assert len(cuts) == 1
    (line,) = [line for line in caplog.messages if "whole sentence" in line]
    assert line.startswith("mine will speak a whole sentence at a time: it is no graph")


def test_where_the_store_cannot_be_written_the_voice_stays_whole(
    voice_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = add(voice_store, tmp_path / "mine", miniature_voice())
    for part in PARTS:
        (folder / part).unlink()

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("voicebot.models.lock.Path.mkdir", refuse)
    assert voice_store.path("mine") == folder / "v.onnx"
    assert names(folder) == ["v.onnx", "v.onnx.json"]
    assert "mine can't be cut and will speak a whole sentence at a time" in caplog.text


def test_what_is_no_part_of_a_voice_is_not_left_to_be_loaded(voice_store: Store, tmp_path: Path) -> None:
    folder = add(voice_store, tmp_path / "mine", b"something that is no graph")
    for part in PARTS:
        (folder / part).write_bytes(b"somebody else's graph")
    voice_store.path("mine")
    assert names(folder) == ["v.onnx", "v.onnx.json"]


def test_a_damaged_part_that_cannot_be_replaced_is_refused(
    voice_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = add(voice_store, tmp_path / "mine", miniature_voice())
    (folder / PARTS[0]).write_bytes(b"damage")

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("voicebot.models.lock.Path.mkdir", refuse)
    with pytest.raises(ModelError, match=r"v\.decoder\.onnx beside .* must be removed"):
        voice_store.path("mine")


def test_a_full_disk_leaves_no_pieces(voice_store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def full(*_: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("voicebot.models.voice_parts.put_in_place", full)
        folder = add(voice_store, tmp_path / "mine", miniature_voice())
    assert names(folder) == ["v.onnx", "v.onnx.json"]
    assert "No space left" in caplog.text
    voice_store.path("mine")
    assert set(PARTS) <= set(names(folder))


def test_whoever_comes_at_the_same_time_waits(voice_store: Store, tmp_path: Path, cuts: list[int]) -> None:
    folder = add(voice_store, tmp_path / "mine", miniature_voice())
    (voice_store.root / ".voice-parts/mine.json").unlink()
    threads = [threading.Thread(target=voice_store.path, args=("mine",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cuts) == 2
    assert set(PARTS) <= set(names(folder))


def test_a_folder_with_parts_is_added_as_the_voice_it_is(voice_store: Store, tmp_path: Path) -> None:
    folder = add(voice_store, tmp_path / "mine", miniature_voice())
    model = voice_store.add(folder, "copy", "tts", "piper", "none")
    assert model.entry == "v.onnx"
    assert [file.name for file in model.files] == ["v.onnx", "v.onnx.json"]
