from __future__ import annotations

import struct
from pathlib import Path

import pytest

from voicebot.errors import ConfigError, DownloadError, ModelError, UsageError
from voicebot.models.catalogue import load_catalogue
from voicebot.models.gguf import kv_bytes_per_token
from voicebot.models.store import Store

Entry = tuple[str, int, bytes]


def text_entry(name: str, value: str) -> Entry:
    return name, 8, struct.pack("<Q", len(value)) + value.encode()


def count_entry(name: str, value: int) -> Entry:
    return name, 4, struct.pack("<I", value)


def counts_entry(name: str, values: list[int]) -> Entry:
    return name, 9, struct.pack("<IQ", 4, len(values)) + b"".join(struct.pack("<I", value) for value in values)


def gguf(*entries: Entry, version: int = 3) -> bytes:
    body = struct.pack("<4sIQQ", b"GGUF", version, 0, len(entries))
    for name, kind, value in entries:
        body += struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value
    return body


TINY = [
    text_entry("general.architecture", "llama"),
    text_entry("general.name", "tiny"),
    ("general.flag", 7, b"\1"),
    count_entry("llama.block_count", 30),
    count_entry("llama.embedding_length", 576),
    count_entry("llama.attention.head_count", 9),
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", load_catalogue(tmp_path / "store"))


@pytest.fixture
def llm(tmp_path: Path) -> Path:
    path = tmp_path / "mine.gguf"
    path.write_bytes(gguf(*TINY, count_entry("llama.attention.head_count_kv", 3)))
    return path


def test_the_kv_cost_is_read_from_the_header(llm: Path) -> None:
    assert kv_bytes_per_token(llm) == 2 * 30 * 3 * 64 * 2
    llm.write_bytes(gguf(*TINY))
    assert kv_bytes_per_token(llm) == 2 * 30 * 9 * 64 * 2
    keys = [count_entry(f"llama.attention.{part}_length", 128) for part in ("key", "value")]
    llm.write_bytes(gguf(*TINY, *keys, counts_entry("llama.attention.head_count_kv", [1] * 10 + [2] * 20)))
    assert kv_bytes_per_token(llm) == 2 * 50 * 128 * 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"GGUF",
        b"no model at all, but long enough",
        gguf(*TINY, version=1),
        gguf(*TINY)[:-3],
        gguf(*TINY[:3]),
        gguf(*TINY[:-1], count_entry("llama.attention.head_count", 0)),
        gguf(("general.architecture", 99, b"")),
        gguf(("general.architecture", 8, struct.pack("<Q", 1 << 60))),
    ],
)
def test_a_broken_gguf_is_refused(llm: Path, body: bytes) -> None:
    llm.write_bytes(body)
    with pytest.raises(ModelError, match="not a readable GGUF"):
        kv_bytes_per_token(llm)


def test_an_added_model_is_found_again(store: Store, llm: Path) -> None:
    added = store.add(llm, "mine", "slm", "llama", "my own")
    assert store.path("mine") == store.root / "mine/mine.gguf"
    again = Store(store.root, load_catalogue(store.root))
    assert again.catalogue.model("mine") == added
    assert added.memory.kv_bytes_per_token == 23040
    assert again.path("mine").read_bytes() == llm.read_bytes()
    assert [(status.state, status.vouched) for status in again.verify("mine")] == [("ok", "you")]
    again.path("mine").write_bytes(b"damage")
    with pytest.raises(ModelError, match="voicebot models add mine"):
        again.path("mine")
    with pytest.raises(DownloadError, match="no source"):
        again.pull("mine")
    again.add(llm, "mine", "slm", "llama", 'a "new" licence\n')
    assert load_catalogue(store.root).model("mine").licence == 'a "new" licence\n'


def test_several_are_kept(store: Store, llm: Path) -> None:
    store.add(llm, "one", "slm", "llama", "mine")
    store.add(llm, "two", "slm", "llama", "mine")
    assert {"one", "two"} <= set(load_catalogue(store.root).models)


def test_a_link_takes_no_room(store: Store, llm: Path) -> None:
    store.add(llm, "mine", "slm", "llama", "mine", link=True)
    assert store.path("mine").is_symlink()
    llm.unlink()
    with pytest.raises(ModelError, match="not installed"):
        store.path("mine")


def test_a_voice_brings_its_settings(store: Store, tmp_path: Path) -> None:
    voice = tmp_path / "v.onnx"
    voice.write_bytes(b"voice")
    with pytest.raises(UsageError, match=r"lacks \.onnx\.json"):
        store.add(voice, "mine", "tts", "piper", "mine")
    (tmp_path / "v.onnx.json").write_text("{}")
    model = store.add(voice, "mine", "tts", "piper", "mine")
    assert {file.name for file in model.files} == {"v.onnx", "v.onnx.json"}
    assert store.path("mine").name == "v.onnx"


def test_a_whisper_is_a_folder(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"weights")
    (folder / ".hidden").write_bytes(b"")
    with pytest.raises(UsageError, match=r"lacks config\.json"):
        store.add(folder, "mine", "asr", "faster-whisper", "mine")
    (folder / "config.json").write_text("{}")
    store.add(folder, "mine", "asr", "faster-whisper", "mine")
    assert sorted(path.name for path in store.path("mine").iterdir()) == ["config.json", "model.bin"]


def test_what_cannot_be_added(store: Store, llm: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="model of the catalogue"):
        store.add(llm, "whisper-base", "slm", "llama", "mine")
    with pytest.raises(UsageError, match="does the slm stage"):
        store.add(llm, "mine", "tts", "llama", "mine")
    with pytest.raises(UsageError, match="pattern"):
        store.add(llm, "my/own", "slm", "llama", "mine")
    with pytest.raises(UsageError, match="does not exist"):
        store.add(tmp_path / "no.gguf", "mine", "slm", "llama", "mine")
    store.add(llm, "mine", "slm", "llama", "mine")
    with pytest.raises(UsageError, match="lies in the store already"):
        store.add(store.path("mine"), "mine", "slm", "llama", "mine")
    assert store.path("mine").exists()


def test_a_full_disk_keeps_the_old_one(store: Store, llm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(llm, "mine", "slm", "llama", "mine")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("voicebot.models.local.shutil.copyfile", full)
    with pytest.raises(ModelError, match="No space left"):
        store.add(llm, "mine", "slm", "llama", "mine")
    assert store.path("mine").exists()


def test_a_broken_list_is_not_overwritten(store: Store, llm: Path) -> None:
    store.root.mkdir()
    (store.root / "added.toml").write_text("broken = ")
    with pytest.raises(ConfigError, match=r"added\.toml"):
        store.add(llm, "mine", "slm", "llama", "mine")
    assert (store.root / "added.toml").read_text() == "broken = "
